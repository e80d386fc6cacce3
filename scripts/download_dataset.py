"""Bring the sequences here, from a web address, a file: address or a path, whole and checked."""

from pathlib import Path

from whatyouread import archives, cli, files, retrieve


def main(args):
    record = retrieve.retrieve(
        args.url, args.output_dir, args.partial, args.sha256, args.size, archives.check_archive
    )
    files.write_json(args.record, record)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--url", required=True, help="http(s) or file address, file or folder")
    arguments.add_argument("--sha256", help="digest expected (default: none, only recorded)")
    arguments.add_argument("--size", type=int, help="bytes expected (default: not checked)")
    arguments.add_argument("--output-dir", type=Path, required=True, help="folder to make")
    arguments.add_argument("--partial", type=Path, required=True, help="unfinished downloads")
    arguments.add_argument("--record", type=Path, required=True, help="JSON: what was retrieved")
    cli.run(arguments, main)
