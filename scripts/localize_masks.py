"""Score the masks against what is known to matter: planted segments, or positions of a user."""

from pathlib import Path

from whatyouread.data.planted import read_planted
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.localization import localization
from whatyouread.masks.mask_files import MaskFile
from whatyouread.support import cli, files


def main(args):
    table = localization(
        TokenFile(args.test, args.ranks),
        MaskFile(args.masks, args.ranks),
        read_planted(args.planted),
        args.seed,
    )
    files.write_tsv(args.table, table, float_format="%.4f")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--masks", type=Path, required=True, help="of generate_masks")
    arguments.add_argument(
        "--planted", type=Path, required=True, help="of simulate_dataset or place_positions"
    )
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--table", type=Path, required=True, help="TSV to write")
    cli.run(arguments, main)
