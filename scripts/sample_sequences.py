"""Draw the test sequences on which the methods are compared, and exchange one base or token in copies."""

from pathlib import Path

import numpy as np

from whatyouread.data.sampling import (
    lowest_classes,
    sample_of_texts,
    stratified_sample,
    substituted,
)
from whatyouread.data.token_files import TokenFile, write_token_files
from whatyouread.data.whole_texts import WholeTexts
from whatyouread.support import cli


def drawn(file, args):
    """The rows to compare on, ascending."""
    classes = lowest_classes(file.labels)
    if args.whole_texts and not (texts := WholeTexts(file)).alone:
        rows = sample_of_texts(texts, classes, args.size, args.seed)
        if rows is not None:
            taken = len(np.unique(texts.of[rows]))
            say = cli.log.info if taken == len(texts) else cli.log.warning
            say(
                "%d of %d sequences are taken, with all their windows, %d (attributions.sequences: %d)",
                taken, len(texts), len(rows), args.size,
            )  # fmt: skip
            return rows
        cli.log.warning(
            "attributions.sequences: %d windows are too few for whole sequences of several classes, of which"
            " the longest has %d: windows are drawn one by one",
            args.size, texts.windows.max(),
        )  # fmt: skip
    return stratified_sample(classes, file.keys, args.size, args.seed)


def main(args):
    file = TokenFile(args.test, args.ranks)
    rows = drawn(file, args)
    if len(rows) == len(file) < args.size:
        cli.log.warning("there are only %d test sequences: all of them are taken", len(rows))
    again = np.sort(
        stratified_sample(lowest_classes(file.labels[rows]), file.keys[rows], args.again, args.seed)
    )
    rows = np.append(rows[again], np.delete(rows, again))
    paths = [args.sequences, args.substituted]
    with write_token_files(paths, args.ranks, file.tokenizer, file.kinds) as writers:
        again = rows[: args.again]
        writers[0].write_batch(file.record_batch(rows))
        writers[1].write_batch(file.record_batch(again, substituted(file, again, args.seed)))


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--size", type=int, required=True, help="sequences to draw")
    arguments.add_argument("--again", type=int, required=True, help="of these, copied and changed")
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument(
        "--whole-texts", action="store_true", help="all windows of what was divided, or none"
    )
    arguments.add_argument("--sequences", type=Path, required=True, help="token file to write")
    arguments.add_argument("--substituted", type=Path, required=True, help="token file to write")
    cli.run(arguments, main)
