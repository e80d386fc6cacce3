"""Explain sequences: what the classifier says they are, and what it reads of them to say so.

Reads what the model reads, plain or packed (gzip, bgzip, bzip2, xz, Zstandard), or standard input. DNA:
FASTA, FASTQ or GenBank; writes predictions, masks, tracks for genome browsers (bigWig, bedGraph, BED, GFF3,
an IGV session) and a page, index.html, into one folder. Proteins: FASTA; proteins and texts: TSV, CSV or
JSONL with a column text; writes tables of predictions, spans and scores, masks, and the page.
"""

import argparse
import dataclasses
import os
from pathlib import Path

from whatyouread.support import cli

EXAMPLES = """examples:
  python scripts/explain_sequences.py --model results/explainers/sharp/0 --fasta my.fa.gz \\
      --output-dir explained/
  zcat reads.fq.gz | python scripts/explain_sequences.py --model OWNER/NAME@COMMIT --fasta - \\
      --sample reads --output-dir explained/
  python scripts/explain_sequences.py --model results/explainers/sharp/0 --fasta genome.gbk \\
      --offsets 6 --regions NC_000913.3:100001-200000 --output-dir explained/
  python scripts/explain_sequences.py --model results/explainers/sharp/0 --input texts.jsonl \\
      --output-dir explained/        (a model of texts)

exit status: 0 when all is written, 1 for a problem that the message names, 2 for wrong options, 130 or
143 when interrupted (the same command goes on where it was), 70 for a bug.
"""


def main(args):
    from whatyouread.explain.run import Request, explain
    from whatyouread.report.explained import write_sample_page

    names = {field.name for field in dataclasses.fields(Request)}
    request = Request(**{name: value for name, value in vars(args).items() if name in names})
    explain(request, write_sample_page)


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command_line() -> argparse.ArgumentParser:
    made = cli.parser(__doc__)
    made.epilog = EXAMPLES
    add = made.add_argument
    add(
        "--model",
        required=True,
        help="folder of an Explainer, or a repository of the Hugging Face Hub (OWNER/NAME@COMMIT)",
    )
    add("--classifier", type=Path, help="folder of its classifier, where it has moved")
    add(
        "--fasta",
        "--input",
        nargs="+",
        required=True,
        metavar="FILE",
        help="what the model reads, packed or not: FASTA, FASTQ or GenBank of DNA; FASTA of proteins;"
        " TSV, CSV or JSONL of proteins or texts; - for standard input",
    )
    add("--output-dir", type=Path, required=True, help="folder for all results")
    add("--sample", help="name of the results (default: that of the first file)")
    add(
        "--regions",
        nargs="+",
        default=[],
        metavar="REGION",
        help="explain only these: NAME:START-END (bases, residues or characters, from 1, both ends), or a"
        " file in BED",
    )
    add(
        "--classes",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="LEVEL=CLASS or CLASS, by name or taxid, in place of the predicted ones",
    )
    add("--annotation", type=Path, help="DNA: GFF3 of genes: what does the mask fall on?")
    add(
        "--strands",
        default="merged",
        choices=["merged", "apart", "forward"],
        help="DNA: merged: the mean of both (default); apart: a track each; forward: as it is given",
    )
    add("--offsets", type=int, default=1, help="DNA: reading frames to average, 1 (default) to 6")
    add(
        "--window",
        type=int,
        help="DNA: bases of a window (default: as in training); else: tokens of a window, without special"
        " ones (default: as many as the model reads)",
    )
    add(
        "--overlap",
        type=float,
        default=0.5,
        help="share of a window that the next one reads again (default: 0.5)",
    )
    add(
        "--longer",
        default="window",
        choices=["window", "cut"],
        help="proteins and texts with more tokens than a window: read in overlapping windows (default), or"
        " cut to the first one",
    )
    add("--gap", type=int, default=10, help="DNA: so many N divide a sequence (default: 10)")
    add(
        "--permutations",
        type=int,
        default=1000,
        help="DNA: circular shifts that the table of an annotation is tested with (default: 1000)",
    )
    add("--seed", type=int, default=42, help="of these shifts")
    add("--batch-size", type=int, default=64, help="windows at once (default: 64)")
    add("--precision", default="fp32", choices=["fp32", "tf32", "bf16"])
    add("--device", choices=["auto", "cpu", "cuda"], help="default: a GPU where there is one")
    add("--threads", type=int, default=cores(), help="default: all cores")
    add(
        "--work-dir",
        type=Path,
        help="where an interrupted run goes on from (default: in the output folder)",
    )
    add("--restart", action="store_true", help="forget what an interrupted run has done")
    return made


if __name__ == "__main__":
    cli.run(command_line(), main, "--batch-size")
