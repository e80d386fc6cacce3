"""Tokenize the sequences of each split into memory-mapped Arrow files."""

from pathlib import Path

from whatyouread.data.folder_tokenizer import longest as longest_of
from whatyouread.data.normalisation import Settings
from whatyouread.data.tokenization import OUTPUTS, tokenize_dataset
from whatyouread.data.tokenizers import BACKBONE, find_tokenizer, tokenizer_of
from whatyouread.support import cli, files


def main(args):
    longest = args.longest
    if args.tokenizer == BACKBONE:
        if args.backbone is None:
            raise cli.UserError("--tokenizer backbone is that of a folder: give --backbone FOLDER")
        tokenizer = tokenizer_of(args.backbone)
        longest = longest_of(args.backbone) if longest is None else longest
        cli.log.info("%s: %s, up to %s tokens", args.backbone, tokenizer.name, longest or "any")
    else:
        tokenizer = find_tokenizer(args.tokenizer)
    outputs = {name: getattr(args, name) for name in OUTPUTS}
    summary = tokenize_dataset(
        args.dataset,
        args.sequences,
        args.splits,
        args.ranks,
        outputs,
        tokenizer,
        cli.settings(Settings, args.sequence_settings),
        longest or 0,
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
    arguments.add_argument(
        "--tokenizer", required=True, help="its name, such as six_mers, or backbone"
    )
    arguments.add_argument(
        "--backbone", type=Path, help="folder of the model, for its own tokenizer and its limit"
    )
    arguments.add_argument(
        "--longest",
        type=int,
        help="tokens that the model reads at most, special ones included, 0 for any number"
        " (default: what the folder of --backbone says, where its tokenizer is used)",
    )
    for name in OUTPUTS:
        option = f"--{name.replace('_', '-')}"
        arguments.add_argument(option, type=Path, required=True, help="Arrow file to write")
    arguments.add_argument("--summary", type=Path, required=True)
    cli.run(arguments, main)
