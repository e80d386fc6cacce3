"""Draw the unmasked chunks (paper, Figure 7), and compare our numbers with the paper's."""

from pathlib import Path

from whatyouread.masks.choices import CHOICES
from whatyouread.report.options import add_output_options
from whatyouread.support import cli, files


def main(args):
    from whatyouread.evaluate.mask_statistics import beside_paper, read_statistics
    from whatyouread.report.chunks_figure import draw_chunks
    from whatyouread.report.style import save

    statistics = read_statistics(args.masks, args.choice)
    table = beside_paper(statistics.summary(), args.paper)
    save(draw_chunks(statistics, table), [args.svg, args.png])
    files.write_tsv(args.table, table, float_format="%.4g")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--masks", type=Path, required=True, help="of generate_masks")
    arguments.add_argument("--paper", type=Path, help="the paper's numbers, to stand beside")
    arguments.add_argument(
        "--choice", choices=CHOICES, default="labels", help="classes that choose the mask"
    )
    arguments.add_argument("--table", type=Path, required=True, help="TSV to write")
    add_output_options(arguments)
    cli.run(arguments, main)
