"""Draw what motifs do in random sequences, beside what their letters in random order do."""

from pathlib import Path

from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.report.motifs_figure import COLUMNS, draw_effects
    from whatyouread.report.style import save
    from whatyouread.support.files import read_tsv

    save(draw_effects(read_tsv(args.effects, COLUMNS), args.ranks), [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--effects", type=Path, required=True, help="of marginalize_motifs")
    arguments.add_argument("--ranks", nargs="+", required=True)
    add_output_options(arguments)
    cli.run(arguments, main)
