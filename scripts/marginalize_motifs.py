"""Put the motifs of each class into random sequences, and see whether the classifier says the class."""

from pathlib import Path

import numpy as np

from whatyouread.classes.marginalization import (
    Marginalization,
    backgrounds,
    chosen_motifs,
    effects,
    fitting,
    known_lengths,
)
from whatyouread.classes.stable_items import with_names
from whatyouread.data.levels import read_classes
from whatyouread.data.token_files import TokenFile
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, choose_device
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files


def main(args):
    items = files.read_tsv(args.table, ["source", "kind", "rank", "class", "item", "support"])
    classes = read_classes(args.classes)
    motifs = chosen_motifs(items, classes, args.settings["motifs"])
    if motifs.empty:
        cli.log.warning("no class has stable k-mers, and so no motifs: the table is empty")
    explanandum = load_model(Explanandum, args.explanandum)
    file = TokenFile(args.test, explanandum.ranks)
    lengths = known_lengths(file)
    motifs = fitting(motifs, lengths)
    letters = motifs["letters"].tolist()
    ranks = {rank: place for place, rank in enumerate(explanandum.ranks)}
    passes = Passes(explanandum, args.batch_size, choose_device(args.threads))
    shortest = max(map(len, letters), default=1)
    random = backgrounds(file, lengths, args.settings["sequences"], shortest, args.seed)
    marginal = Marginalization(
        passes, file.tokenizer, random, letters,
        motifs["rank"].map(ranks).to_numpy(np.int64), motifs["class"].to_numpy(np.int64), args.seed,
    )  # fmt: skip
    table = motifs.assign(sequences=len(random.keys), **effects(marginal, args.resamples))
    for (source, rank), part in table.groupby(["source", "rank"], sort=False):
        more = part.loc[part["difference_low"] > 0, "motif"].nunique()
        cli.log.info(
            "%s, %s: %d of %d motifs do more for their class than their letters in random order",
            source, rank, more, part["motif"].nunique(),
        )  # fmt: skip
    files.write_tsv(args.effects, with_names(table, classes), float_format="%.4g")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--table", type=Path, required=True, help="of explain_classes")
    add("--classes", type=Path, required=True, help="of label_taxonomy")
    add("--explanandum", type=Path, required=True, help="folder of its model")
    add("--test", type=Path, required=True, help="token file, for the letters of random sequences")
    add("--settings", type=cli.json_argument, required=True)
    add("--resamples", type=int, required=True, help="of the bootstrap")
    add("--batch-size", type=int, required=True)
    add("--seed", type=int, required=True)
    add("--threads", type=int, default=1)
    add("--effects", type=Path, required=True, help="TSV to write")
    cli.run(arguments, main, "evaluation.batch_size")
