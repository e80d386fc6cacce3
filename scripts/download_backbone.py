"""Get the encoder's files from the Hugging Face Hub or a folder, or make those of a fresh encoder."""

from pathlib import Path

from whatyouread.models import hub
from whatyouread.support import cli, files


def main(args):
    files.refuse_foreign(args.output_dir, args.record)
    hub.fetch_backbone(args.settings, args.output_dir, args.record)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--settings", type=cli.json_argument, required=True, help="the config's backbone, as JSON"
    )
    arguments.add_argument("--output-dir", type=Path, required=True, help="folder to make")
    arguments.add_argument("--record", type=Path, required=True, help="JSON: files and digests")
    cli.run(arguments, main)
