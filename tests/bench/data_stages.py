"""The data stages over an archive of the paper's size and a full-size taxonomy dump, as programs."""

import sys
from functools import partial
from pathlib import Path

import paper_size
from measure import SCRIPTS, Cost, Figure, cost, say, seconds
from tokenization import esm_tokenizer

SECTION = "Data, two cores"
RANKS = ["superkingdom", "phylum", "genus"]
STAGES = (
    "download_dataset", "download_taxdump", "label_taxonomy", "find_copies", "split_dataset",
    "tokenize_sequences",
)  # fmt: skip
SPLIT = (
    '{"test": 0.02, "validation": 0.1, "explainer_train": 239391, "explainer_validation": 0.047}'
)
GIB = 2**30


def stages(folder: Path, archive: Path, dump: Path) -> dict[str, Cost]:
    """Run the programs of the data rules one after the other."""
    made = {name: folder / name for name in ("dataset", "taxdump")}
    labels, classes, index = (
        folder / name for name in ("labels.tsv", "classes.tsv", "sequences.parquet")
    )
    splits, log = folder / "splits.parquet", folder / "log"
    options = {
        "download_dataset": ["--url", archive, "--output-dir", made["dataset"]],
        "download_taxdump": ["--url", dump, "--output-dir", made["taxdump"]],
        "label_taxonomy": [
            "--dataset", made["dataset"], "--taxdump", made["taxdump"], "--ranks", *RANKS,
            "--labels", labels, "--classes", classes, "--summary", folder / "a.tsv",
            "--sequences", index,
        ],
        "find_copies": ["--dataset", made["dataset"], "--copies", folder / "copies.parquet"],
        "split_dataset": [
            "--sequences", index, "--labels", labels, "--classes", classes, "--ranks", *RANKS,
            "--settings", SPLIT, "--seed", 42,
            "--splits", splits, "--summary", folder / "b.tsv",
        ],
        "tokenize_sequences": [
            "--dataset", made["dataset"], "--sequences", index, "--splits", splits,
            "--ranks", *RANKS, "--tokenizer", "six_mers", "--summary", folder / "c.tsv",
        ],
    }  # fmt: skip
    for name in ("dataset", "taxdump"):
        options[f"download_{name}"] += ["--partial", folder / "partial"]
        options[f"download_{name}"] += ["--record", folder / f"{name}.json"]
    for name in ("train", "validation", "test", "explainer-train", "explainer-validation"):
        options["tokenize_sequences"] += [f"--{name}", folder / f"{name}.arrow"]
    folder.mkdir()
    used = {}
    for stage in STAGES:
        command = [sys.executable, SCRIPTS / f"{stage}.py", *options[stage], "--log", log]
        used[stage] = cost(command)
        say(f"  {stage}: {used[stage].seconds:.1f} s, {used[stage].peak_bytes / GIB:.2f} GiB")
    return used


def run(quick: bool, scratch: Path) -> list[Figure]:
    """Time and memory of each stage at a tenth of the size and at full size."""
    small, large = (10_000, 100_000) if quick else (518_188, paper_size.SEQUENCES)
    dump = scratch / "taxdmp.zip"
    taxids = paper_size.write_dump(dump, 200_000 if quick else paper_size.NODES)
    used, taken, text, hand_rate = {}, {}, {}, 0.0
    for size in (small, large):
        archive = scratch / "dataset.zip"
        text[size] = paper_size.write_archive(archive, taxids, size)
        say(f"  {size:,} sequences, {text[size] / 1e9:.2f} GB of text")
        used[size] = stages(scratch / f"stages_{size}", archive, dump)
        taken[size] = sum(one.seconds for one in used[size].values())
        if size == large:
            hand_rate = BY_HAND / seconds(partial(_by_hand, archive), repeat=1, warm_up=0)
        archive.unlink()
    figures = [
        Figure(
            SECTION, f"{stage}, {large:,} sequences", "s", one.seconds,
            note=f"{one.cpu_seconds:.0f} s of processor, {one.peak_bytes / GIB:.2f} GiB; "
            f"a tenth of the sequences: {used[small][stage].seconds:.1f} s",
        )
        for stage, one in used[large].items()
    ]  # fmt: skip
    peak = max(one.peak_bytes for one in used[large].values()) / GIB
    growth = taken[large] / taken[small]
    labelling = used[large]["label_taxonomy"]
    full = None if quick else True
    return [
        *figures,
        Figure(
            SECTION, f"all stages, {text[large] / 1e9:.2f} GB of text", "min", taken[large] / 60,
            asked="under 20 min", met=full and taken[large] < 1200,
        ),
        Figure(SECTION, "peak memory", "GiB", peak, asked="under 4 GiB", met=full and peak < 4),
        Figure(
            SECTION, "growth for ten times the sequences", "times", growth,
            asked="at most 11", met=full and growth <= 11,
        ),
        Figure(
            SECTION, "label_taxonomy with a dump of 2.6 million nodes", "s", labelling.seconds,
            asked="under 3 min, 2 GiB",
            met=full and labelling.seconds < 180 and labelling.peak_bytes < 2 * GIB,
            note=f"{labelling.peak_bytes / GIB:.2f} GiB, with the pass over the sequences",
        ),
        Figure(
            SECTION, "labelling and tokenizing", "sequences per second",
            large / (labelling.seconds + used[large]["tokenize_sequences"].seconds), hand_rate,
            "Biopython and EsmTokenizer, a record at a time",
            large / (labelling.seconds + used[large]["tokenize_sequences"].seconds) / hand_rate,
            note=f"the other on the first {BY_HAND:,} sequences",
        ),
        *_whole_dump_in_ete(quick, scratch),
    ]  # fmt: skip


BY_HAND = 2_000
ETE = """
import io, os, sys, tarfile, zipfile
from ete3 import NCBITaxa
source, folder = sys.argv[1:]
sys.stderr = open(os.devnull, "w")
os.chdir(folder)
with zipfile.ZipFile(source) as given, tarfile.open("taxdump.tar.gz", "w:gz") as tar:
    for name in ("nodes.dmp", "names.dmp", "merged.dmp"):
        text = given.read(name)
        member = tarfile.TarInfo(name)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
NCBITaxa(dbfile="taxa.sqlite", taxdump_file="taxdump.tar.gz")
"""


def _whole_dump_in_ete(quick: bool, scratch: Path) -> list[Figure]:
    """Labels from a dump of a tenth of the size: ours, and ETE's own database of all of it."""
    folder = scratch / "ete"
    folder.mkdir()
    nodes = 20_000 if quick else paper_size.NODES // 10
    taxids = paper_size.write_dump(folder / "dump.zip", nodes)
    paper_size.write_archive(folder / "dataset.zip", taxids, 20_000)
    ours = stages(folder / "stages", folder / "dataset.zip", folder / "dump.zip")["label_taxonomy"]
    theirs = cost([sys.executable, "-c", ETE, folder / "dump.zip", folder])
    return [
        Figure(
            SECTION, f"labels from a dump of {nodes:,} nodes", "s", ours.seconds, theirs.seconds,
            "NCBITaxa of the whole dump", theirs.seconds / ours.seconds,
        ),
        Figure(
            SECTION, "the memory of that", "GiB", ours.peak_bytes / GIB, theirs.peak_bytes / GIB,
            "NCBITaxa of the whole dump", theirs.peak_bytes / ours.peak_bytes,
        ),
    ]  # fmt: skip


def _by_hand(archive: Path) -> int:
    """What one would write in a notebook: parse, tokenize, keep lists."""
    import io
    import itertools
    import zipfile

    from Bio import SeqIO

    tokenizer = esm_tokenizer()
    with zipfile.ZipFile(archive) as opened, opened.open(opened.namelist()[0]) as stream:
        records = SeqIO.parse(io.TextIOWrapper(stream, encoding="ascii"), "fasta")
        return len(
            [
                (int(record.id), tokenizer(str(record.seq))["input_ids"])
                for record in itertools.islice(records, BY_HAND)
            ]
        )
