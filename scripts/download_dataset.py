"""Bring the sequences here, from a web address, a file: address or a path, whole and checked."""

from whatyouread import archives, retrieve

if __name__ == "__main__":
    retrieve.run_program(__doc__, archives.check_archive)
