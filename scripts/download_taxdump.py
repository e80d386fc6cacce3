"""Bring an NCBI taxonomy dump here: a zip, a tar.gz or a folder with nodes.dmp and names.dmp."""

from pathlib import Path, PurePosixPath

from whatyouread import archives, cli, files, retrieve

NEEDED = ("nodes.dmp", "names.dmp")


def check(folder):
    archives.check_archive(folder)
    names = [PurePosixPath(member.name).name for member in archives.members(folder)]
    for name in NEEDED:
        if names.count(name) != 1:
            raise cli.UserError(
                f"taxdump: {names.count(name)} files {name} in it, one expected: give NCBI's "
                "taxdmp_*.zip or taxdump.tar.gz"
            )


def main(args):
    record = retrieve.retrieve(
        args.url, args.output_dir, args.partial, args.sha256, args.size, check
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
