"""Show the keywords of each class at a level, with places in documents where they score highest."""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    from whatyouread.classes.documents import places
    from whatyouread.report.keywords_page import keywords_page
    from whatyouread.support.files import read_tsv

    own = ["source", "kind", "rank", "class"]
    items = read_tsv(
        args.table, [*own, "name", "position", "item", "mean", "sd", "runs", "support", "q"]
    )
    summary = read_tsv(
        args.summary,
        [
            *own,
            "name",
            "sequences",
            "stable_items",
            "distinctiveness",
            "coverage",
            "cross_coverage",
        ],
    )
    items, summary = (
        frame[
            (frame["source"] == args.source)
            & (frame["kind"] == "word")
            & (frame["rank"] == args.rank)
        ]
        for frame in (items, summary)
    )
    shown = items[items["position"] <= args.keywords]
    found, documents = places(args.documents, args.rank, shown, args.places)
    page = keywords_page(shown, summary, found, documents, args.rank, args.source)
    with files.atomic(args.html) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--table", type=Path, required=True, help="of explain_classes")
    arguments.add_argument("--summary", type=Path, required=True, help="of explain_classes")
    arguments.add_argument("--documents", type=Path, required=True, help="of score_classes, run 0")
    arguments.add_argument("--rank", required=True)
    arguments.add_argument("--source", required=True)
    arguments.add_argument("--keywords", type=int, default=30, help="of each class")
    arguments.add_argument("--places", type=int, default=3, help="of each keyword")
    arguments.add_argument("--html", type=Path, required=True, help="page to write")
    cli.run(arguments, main)
