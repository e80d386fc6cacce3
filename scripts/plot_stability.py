"""Draw how far the items of the classes agree, by the number of runs that they are made of."""

from pathlib import Path

from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.report.stability_figure import LINES, draw_stability
    from whatyouread.report.style import save
    from whatyouread.support.files import read_tsv

    table = read_tsv(args.table, ["source", "kind", "rank", "runs", *LINES])
    save(draw_stability(table, args.kind), [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--table", type=Path, required=True, help="of explain_classes")
    arguments.add_argument("--kind", default="kmer", help="the kind of items to draw")
    add_output_options(arguments)
    cli.run(arguments, main)
