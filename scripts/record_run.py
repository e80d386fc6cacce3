"""Record how the results were made: configuration, versions, seeds, digests."""

import subprocess
from pathlib import Path

from whatyouread import __version__
from whatyouread.support import cli, files


def commit() -> str | None:
    """The commit of the pipeline, with "-dirty" if files differ from it; None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def main(args):
    steps = {str(path): files.read_json(path) for path in args.records}
    results = {str(path): files.sha256(path) for path in args.results}
    record = {"pipeline": __version__, "commit": commit(), "config": args.config}
    files.write_json(args.output, record | {"steps": steps, "results": results})


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--config", type=cli.json_argument, required=True)
    arguments.add_argument(
        "--records", type=Path, nargs="+", required=True, help="JSON of the steps"
    )
    arguments.add_argument("--results", type=Path, nargs="+", required=True, help="files to digest")
    arguments.add_argument("--output", type=Path, required=True, help="JSON to write")
    cli.run(arguments, main)
