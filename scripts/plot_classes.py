"""Draw the best items of each class at a rank: k-mers, and the motifs that they form, or words."""

from pathlib import Path

from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.report.classes_figure import draw_bars, draw_logos, shown_classes
    from whatyouread.report.style import save
    from whatyouread.support.files import read_tsv

    columns = ["source", "kind", "rank", "class"]
    items = read_tsv(args.table, [*columns, "item"])
    summary = read_tsv(args.summary, [*columns, "sequences"])
    items, summary = (
        frame[
            (frame["source"] == args.source)
            & (frame["kind"] == args.kind)
            & (frame["rank"] == args.rank)
        ]
        for frame in (items, summary)
    )
    classes = shown_classes(items, summary, args.classes_shown)
    about = f"{args.rank}, by {args.source.replace('_', ' ')}"
    names = {"kmer": "k-mers"}.get(args.kind, f"{args.kind}s")
    with_items, total = items["class"].nunique(), len(summary)
    what = f"{len(classes)} of {with_items} classes with stable {names}, of {total} in all"
    bars = f"Best {names}, {about}: {what}; blue: in no other class's list"
    save(draw_bars(items, classes, bars), [args.svg, args.png])
    if logos := [path for path in (args.logo_svg, args.logo_png) if path]:
        save(draw_logos(items, classes, f"Longest motif, {about}: {what}"), logos)


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--table", type=Path, required=True, help="of explain_classes")
    arguments.add_argument("--summary", type=Path, required=True, help="of explain_classes")
    arguments.add_argument("--rank", required=True)
    arguments.add_argument("--source", required=True)
    arguments.add_argument("--kind", default="kmer", help="the kind of items to draw")
    arguments.add_argument("--classes-shown", type=int, required=True)
    add_output_options(arguments)
    for ending in ("svg", "png"):
        arguments.add_argument(f"--logo-{ending}", type=Path, help="motifs of k-mers, to write")
    cli.run(arguments, main)
