"""Get the sequences from a web address, a file: address or a path, and check them."""

from whatyouread.data import retrieve

if __name__ == "__main__":
    retrieve.run_program(__doc__, retrieve.check_records)
