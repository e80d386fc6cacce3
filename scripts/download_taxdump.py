"""Get an NCBI taxonomy dump: a zip, a tar.gz or a folder with nodes.dmp and names.dmp."""

import re
from pathlib import PurePosixPath

from whatyouread.data import archives, retrieve
from whatyouread.data.transfer import describe
from whatyouread.support import cli

NEEDED = ("nodes.dmp", "names.dmp")


def check(folder):
    archives.check_archive(folder)
    members = list(archives.members(folder))
    names = [PurePosixPath(member.name).name for member in members]
    for name in NEEDED:
        if names.count(name) != 1:
            raise cli.UserError(
                f"taxdump: {names.count(name)} files {name} in it, one expected: give NCBI's "
                "taxdmp_*.zip or taxdump.tar.gz"
            )
        member = members[names.index(name)]
        with member.open() as stream:
            start = stream.read(4096)
        if not re.match(rb"\s*\d+\s*\|", start):
            raise cli.UserError(
                f"taxdump: {member.name} does not begin with a line like '1\t|\t1\t|', but is "
                f"{describe(start) if start.strip() else 'empty'}: get the dump again"
            )


if __name__ == "__main__":
    retrieve.run_program(__doc__, check)
