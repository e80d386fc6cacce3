"""Measure how faithful the scores of one method are, with bootstrap intervals over the sequences."""

from pathlib import Path

import numpy as np

from whatyouread.data.planted import has_places, planted_tokens, read_planted
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.faithfulness import planted_precision
from whatyouread.evaluate.faithfulness_table import by_passes, robustness, seed_agreement, table
from whatyouread.explainers.saved import load_attached
from whatyouread.methods.files import COMBINED, read_attributions
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, choose_device
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files


def main(args):
    device = choose_device(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    ranks, settings = explanandum.ranks, args.settings
    file = TokenFile(args.sequences, ranks)
    variants = read_attributions(args.attributions, ranks)
    plain = variants["plain"]
    if not np.array_equal(plain.keys, file.keys):
        raise cli.UserError(f"{args.attributions} is not of the sequences in {args.sequences}")
    passes = Passes(explanandum, args.batch_size, device)
    values = by_passes(passes, file, plain, settings, args.seed) | robustness(variants)
    if args.planted:
        planted = planted_tokens(file, read_planted(args.planted))
        has_places(file)  # the others have no known token, and so no value
        values |= planted_precision(
            plain.scores[COMBINED], planted, plain.content, plain.keys, args.seed
        )
    if args.other_explainers:
        # each Explainer needs its own classifier: runs may differ in theirs
        others = [
            load_attached(folder, load_model(Explanandum, own).to(device))
            for folder, own in zip(args.other_explainers, args.other_explananda, strict=True)
        ]
        values |= seed_agreement(others, file, plain, passes)
    made = table(args.method, values, ranks, settings["resamples"], args.seed)
    files.write_tsv(args.table, made, float_format="%.5f")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--method", required=True, help="name of the method")
    add("--attributions", type=Path, required=True, help="of attribute_tokens")
    add("--sequences", type=Path, required=True, help="token file")
    add("--explanandum", type=Path, required=True, help="folder of its model")
    add("--settings", type=cli.json_argument, required=True)
    add("--batch-size", type=int, required=True)
    add("--seed", type=int, required=True)
    add("--threads", type=int, default=1)
    add("--planted", type=Path, help="of simulate_dataset or place_positions")
    add("--other-explainers", type=Path, nargs="*", help="folders, of other runs")
    add("--other-explananda", type=Path, nargs="*", help="folders of their classifiers")
    add("--table", type=Path, required=True, help="TSV to write")
    cli.run(arguments, main, "evaluation.batch_size")
