"""Show tables (TSV) and records (JSON) as one web page for the report."""

from pathlib import Path

from whatyouread.support import cli, files


def main(args):
    from whatyouread.report.table_page import page, record, table
    from whatyouread.support.files import read_tsv
    from whatyouread.support.text import escape_html

    parts = []
    for path in args.files:
        if len(args.files) > 1:
            parts.append(f"<h2>{escape_html(str(path))}</h2>")
        if path.suffix == ".json":
            parts.append(record(path))
            continue
        frame = read_tsv(path, rows=args.rows + 1)
        parts.append(table(frame.head(args.rows)))
        if len(frame) > args.rows:
            parts.append(
                f"<p>The first {args.rows:,} rows; all of them are in {escape_html(str(path))}.</p>"
            )
    with files.atomic(args.html) as temporary:
        temporary.write_text(page(args.title, "\n".join(parts)), encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--files", type=Path, nargs="+", required=True, help="TSV or JSON")
    arguments.add_argument("--title", required=True)
    arguments.add_argument("--rows", type=int, default=2000, help="at most so many of each table")
    arguments.add_argument("--html", type=Path, required=True, help="page to write")
    cli.run(arguments, main)
