"""Split the training and validation sequences again, in the same proportion; groups stay whole.

With --whole the test sequences are among them, and those of the Explainers are drawn from the new splits.
"""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from whatyouread.data.texts import document_keys, document_numbers
from whatyouread.data.token_files import TokenFile, common_tokenizer, write_token_files
from whatyouread.support import cli, files
from whatyouread.support.keyed_random import draw

BLOCK = 65536  # sequences in memory at once


def drawn_by(parts: list[TokenFile], splits: Path | None) -> list[np.ndarray]:
    """What a draw is made for, uint64 (n,) for each file: the groups, or else the sequences.

    The windows of a sequence with too many tokens stay together.
    """
    if splits is None:
        return [document_keys(file) for file in parts]
    # a token file has the sequences of its split in the order of this table
    table = files.read_parquet(splits, ["split", "together"])
    made = []
    names = ("train", "validation", "test")[: len(parts)]
    for file, name in zip(parts, names, strict=True):
        own = table.filter(pc.equal(table["split"], name))["together"].to_numpy().astype(np.uint64)
        numbers = document_numbers(file)
        if len(own) != numbers.max(initial=-1) + 1:
            raise cli.UserError(
                f"{file.path} and {splits} do not fit: run tokenize_sequences again"
            )
        made.append(own[numbers])
    return made


def main(args):
    whole = [TokenFile(path, args.ranks) for path in args.whole]
    if len(whole) != len(args.new_whole):
        raise cli.UserError("--whole and --new-whole go together: give as many files of both")
    parts = [*(TokenFile(path, args.ranks) for path in (args.train, args.validation)), *whole[:1]]
    # of the draw from 0 to 1, validation first, then test
    edges = np.cumsum([len(part) for part in parts[1:]]) / sum(map(len, parts))
    # share of a split that an Explainer is trained and validated on
    of_explainers = whole[1:]
    drawn_from = zip(of_explainers, parts[: len(of_explainers)], strict=True)
    shares = [len(own) / max(len(part), 1) for own, part in drawn_from]
    kept = np.zeros(len(parts), np.int64)
    paths = [args.new_train, args.new_validation, *args.new_whole]
    with write_token_files(paths, args.ranks, common_tokenizer(*parts), parts[0].kinds) as writers:
        for file, keys in zip(parts, drawn_by(parts, args.splits), strict=True):
            # 0 for train, 1 and 2 for validation and test
            place = np.digitize(draw(args.seed, "resplit", keys), edges)
            side = np.where(place == len(edges), 0, place + 1)
            drawn = draw(args.seed, "resplit for the Explainer", keys)
            for start in range(0, len(file), BLOCK):
                rows = np.arange(start, min(start + BLOCK, len(file)))
                for number, writer in enumerate(writers[: len(parts)]):
                    chosen = rows[side[rows] == number]
                    kept[number] += len(chosen)
                    writer.write_batch(file.record_batch(chosen))
                for number, share in enumerate(shares):
                    chosen = rows[(side[rows] == number) & (drawn[rows] < share)]
                    writers[len(parts) + number].write_batch(file.record_batch(chosen))
    if not all(kept):
        raise cli.UserError(
            f"{args.train} and {args.validation} are too small to be divided anew: "
            "give more sequences, or `runs.kind: explainer`"
        )
    cli.log.info("%d sequences for training, %d for validation", *kept[:2])
    for number in kept[2:]:
        cli.log.info("%d sequences for the test", number)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--train", type=Path, required=True, help="token file")
    arguments.add_argument("--validation", type=Path, required=True, help="token file")
    arguments.add_argument(
        "--splits", type=Path, help="table of split_dataset, where it has groups"
    )
    arguments.add_argument(
        "--whole", type=Path, nargs="*", default=[], metavar="FILE",
        help="token files of the test, and of training and validation of the Explainers",
    )  # fmt: skip
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--new-train", type=Path, required=True, help="token file to write")
    arguments.add_argument("--new-validation", type=Path, required=True, help="token file to write")
    arguments.add_argument(
        "--new-whole", type=Path, nargs="*", default=[], metavar="FILE",
        help="token files to write, one for each of --whole",
    )  # fmt: skip
    cli.run(arguments, main)
