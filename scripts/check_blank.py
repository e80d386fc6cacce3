"""Check that the Explanandum is undecided about blank and fully masked sequences."""

from pathlib import Path

import torch

from whatyouread.data.levels import read_classes
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.blank import blank_probabilities, blank_tables
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes
from whatyouread.models.saving import load_model
from whatyouread.support import cli, files


def main(args):
    torch.set_num_threads(args.threads)
    explanandum = load_model(Explanandum, args.explanandum)
    file = TokenFile(args.validation, explanandum.ranks)
    # a few sequences: no GPU job, and so it may not take a GPU either, where others have it
    passes = Passes(explanandum, args.sequences, torch.device("cpu"))
    probabilities = blank_probabilities(passes, file, args.sequences, args.seed)
    long, summary = blank_tables(probabilities, read_classes(args.classes), args.min_entropy)
    for row in summary[summary["uniform"] == "no"].to_dict("records"):
        cli.log.warning(
            "a %(input)s sequence is not classified uniformly at rank %(rank)s: %(most_probable)s has "
            "%(largest_probability).3f (uniform: %(uniform_probability).3f), normalized entropy "
            "%(normalized_entropy).3f; masks may then say more about the classifier's habit than "
            "about the sequence",
            row,
        )
    files.write_tsv(args.probabilities, long, float_format="%.6g")
    files.write_tsv(args.summary, summary, float_format="%.6g")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--explanandum", type=Path, required=True, help="folder of its model")
    arguments.add_argument("--validation", type=Path, required=True, help="token file")
    arguments.add_argument("--classes", type=Path, required=True)
    arguments.add_argument("--sequences", type=int, required=True, help="how many are masked")
    arguments.add_argument("--min-entropy", type=float, required=True, help="counts as uniform")
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--probabilities", type=Path, required=True, help="TSV to write")
    arguments.add_argument("--summary", type=Path, required=True, help="TSV to write")
    cli.run(arguments, main)
