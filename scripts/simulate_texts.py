"""Simulate labelled texts with planted keywords, and a tokenizer for them.

The documents are a JSONL with the labels of each; the places of the keywords are a BED, so that masks can be
scored against them. The same settings and seed give the same bytes.
"""

from pathlib import Path

from whatyouread.simulate import texts
from whatyouread.support import cli


def main(args):
    settings = cli.settings(texts.Settings, args.settings)
    made = texts.simulate(settings, args.seed)
    texts.write_texts(made, args.dataset, args.positions, args.keywords)
    texts.write_tokenizer(made, args.tokenizer)
    cli.log.info(
        "simulated %d documents of %d classes, with %d keywords each",
        *(len(made.documents), len(made.classes), settings.keywords),
    )


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--settings", type=cli.json_argument, required=True, help="the settings, as JSON")
    add("--seed", type=int, required=True, help="a number from 0")
    add("--dataset", type=Path, required=True, help="the documents to write, JSONL")
    add("--positions", type=Path, required=True, help="the places of the keywords to write, BED")
    add("--keywords", type=Path, required=True, help="the keywords of each class to write, TSV")
    add("--tokenizer", type=Path, required=True, help="folder to make")
    cli.run(arguments, main)
