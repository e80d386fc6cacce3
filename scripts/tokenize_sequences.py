"""Tokenize the sequences of each split into memory-mapped Arrow files."""

from pathlib import Path

from whatyouread.data.normalisation import Settings
from whatyouread.data.tokenization import OUTPUTS, tokenize_dataset
from whatyouread.data.tokenizers import find_tokenizer
from whatyouread.support import cli, files


def main(args):
    outputs = {name: getattr(args, name) for name in OUTPUTS}
    summary = tokenize_dataset(
        args.dataset,
        args.sequences,
        args.splits,
        args.ranks,
        outputs,
        find_tokenizer(args.tokenizer),
        cli.settings(Settings, args.sequence_settings),
    )
    files.write_tsv(args.summary, summary)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--dataset", type=Path, required=True, help="folder of download_dataset")
    arguments.add_argument("--sequences", type=Path, required=True, help="table of label_taxonomy")
    arguments.add_argument("--splits", type=Path, required=True, help="table of split_dataset")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument(
        "--sequence-settings",
        type=cli.json_argument,
        default={},
        help="the same as for label_taxonomy, JSON",
    )
    arguments.add_argument("--tokenizer", required=True, help="its name, such as six_mers")
    for name in OUTPUTS:
        option = f"--{name.replace('_', '-')}"
        arguments.add_argument(option, type=Path, required=True, help="Arrow file to write")
    arguments.add_argument("--summary", type=Path, required=True)
    cli.run(arguments, main)
