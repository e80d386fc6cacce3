"""Bring the encoder's files here: from the Hugging Face Hub, from a folder, or of a fresh one."""

from pathlib import Path

from whatyouread import cli, files, hub


def main(args):
    files.write_json(args.record, hub.fetch_backbone(args.settings, args.output_dir))


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--settings", type=cli.json_argument, required=True, help="the config's backbone, as JSON"
    )
    arguments.add_argument("--output-dir", type=Path, required=True, help="folder to make")
    arguments.add_argument("--record", type=Path, required=True, help="JSON: files and digests")
    cli.run(arguments, main)
