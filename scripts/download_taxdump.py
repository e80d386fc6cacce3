"""Get an NCBI taxonomy dump: a zip, a tar.gz or a folder with nodes.dmp and names.dmp."""

from pathlib import PurePosixPath

from whatyouread.data import archives, retrieve
from whatyouread.support import cli

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


if __name__ == "__main__":
    retrieve.run_program(__doc__, check)
