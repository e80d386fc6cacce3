"""Draw the distribution of mask values and their dependence on position (paper, Figure 6)."""

from pathlib import Path

from whatyouread.masks.choices import CHOICES
from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.evaluate.mask_statistics import read_statistics
    from whatyouread.report.masks_figure import draw_masks
    from whatyouread.report.style import save

    statistics = read_statistics(args.masks, args.choice)
    save(draw_masks(statistics, args.choice), [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--masks", type=Path, required=True, help="of generate_masks")
    arguments.add_argument(
        "--choice", choices=CHOICES, default="labels", help="classes that choose the mask"
    )
    add_output_options(arguments)
    cli.run(arguments, main)
