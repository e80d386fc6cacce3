"""Simulate a labelled archive with planted signature segments, and its taxonomy.

The archive has the format of the published one (FASTA files in a zip, headers `>TAXID INDEX`). The
taxonomy has the format of NCBI's taxdmp.zip. A third file records the place of each signature segment,
so that masks can be scored against the truth. The same settings and seed give the same bytes.
"""

from pathlib import Path

from whatyouread.simulate import archives as simulated_archives
from whatyouread.simulate import sequences as simulation
from whatyouread.support import cli, files


def main(args):
    settings = cli.settings(simulation.Settings, args.settings)
    made = simulation.Simulation(settings, args.seed)
    simulated_archives.write_dataset(made, args.dataset, args.planted)
    simulated_archives.write_taxdump(args.taxdump, made.taxonomy)
    if args.segments:
        files.write_tsv(args.segments, simulated_archives.segment_table(made))
    cli.log.info(
        "simulated %d sequences of %d bases under %d taxids, %d genera and %d phyla",
        made.counts.sum(),
        settings.length,
        len(made.taxonomy.leaves),
        len(made.taxonomy.genera),
        len(made.taxonomy.phyla),
    )


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    add = arguments.add_argument
    add("--settings", type=cli.json_argument, required=True, help="the settings, as JSON")
    add("--seed", type=int, required=True, help="a number from 0")
    add("--dataset", type=Path, required=True, help="the archive to write, a zip")
    add("--taxdump", type=Path, required=True, help="the taxonomy to write, a zip")
    add("--planted", type=Path, required=True, help="the planted segments to write, Parquet")
    add("--segments", type=Path, help="also write the unmutated segments, TSV")
    cli.run(arguments, main)
