"""The files of a simulation: archives laid out like the published data set and NCBI's taxdmp.zip.

Column layout of the taxonomy: taxdump_readme.txt in https://ftp.ncbi.nlm.nih.gov/pub/taxonomy/.
"""

import zipfile
from pathlib import Path

import numpy as np

from whatyouread.simulate.sequences import Simulation, Source
from whatyouread.simulate.taxonomy import Taxonomy
from whatyouread.support import files

# dated like the zip that NCBI keeps from the first of a month, and the same in every run
_DATE = (2024, 12, 1, 0, 0, 0)
_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
_RECORDS_AT_A_TIME = 4096


def write_dataset(simulation: Simulation, dataset: str | Path, planted: str | Path) -> None:
    """Write the archive of FASTA files and the Parquet table of what is planted where."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with files.atomic(dataset) as zipped, files.atomic(planted) as table:
        parts = []
        with zipfile.ZipFile(zipped, "w") as archive:
            for source in simulation.sources():
                _write_source(archive, source)
                parts.append(planted_table(simulation, source))
        pq.write_table(pa.concat_tables(parts), table)


def segment_table(simulation: Simulation):
    """The unmutated segments as a pandas frame: rank, taxid, name, segment (its id), sequence.

    Its rows are in the order of `Simulation.segments`.
    """
    import pandas as pd

    settings, taxonomy = simulation.settings, simulation.taxonomy
    owned = (
        (rank, clade.taxid, clade.name, f"{clade.name}_{number}")
        for rank, clades, count in (
            ("phylum", taxonomy.phyla, settings.segments_per_phylum),
            ("genus", taxonomy.genera, settings.segments_per_genus),
        )
        for clade in clades
        for number in range(1, count + 1)
    )
    table = pd.DataFrame(owned, columns=["rank", "taxid", "name", "segment"])
    return table.assign(sequence=_text(simulation.segments))


def planted_table(simulation: Simulation, source: Source):
    """The planted segments of one file as a pyarrow table, one row each, in file order.

    Columns: source (file name), record (index within the file), header (without `>`), rank,
    taxid (of the phylum or genus), segment (id), start, end (bases, 0-based, half-open), strand.
    """
    import pyarrow as pa

    table = segment_table(simulation)
    taxid = source.taxid[source.row]
    headers = [f"{t} {i}" for t, i in zip(taxid.tolist(), source.row.tolist(), strict=True)]
    return pa.table(
        {
            "source": pa.array([source.name] * len(headers), pa.string()),
            "record": pa.array(source.row, pa.int64()),
            "header": pa.array(headers, pa.string()),
            "rank": pa.array(table["rank"].to_numpy(object)[source.segment], pa.string()),
            "taxid": pa.array(table["taxid"].to_numpy()[source.segment], pa.int64()),
            "segment": pa.array(table["segment"].to_numpy(object)[source.segment], pa.string()),
            "start": pa.array(source.start, pa.int64()),
            "end": pa.array(source.start + simulation.settings.segment_length, pa.int64()),
            "strand": pa.array(np.where(source.reverse, "-", "+").astype(object), pa.string()),
        }
    )


def write_taxdump(path: str | Path, taxonomy: Taxonomy) -> None:
    """Write the archive: the same eight files, columns and separators as NCBI's taxdmp.zip."""
    cited = " ".join(str(phylum.taxid) for phylum in taxonomy.phyla)
    citation = (1, "The simulated taxonomy", 0, 0, "", "Made up for a demonstration.", cited)
    tables = {
        "citations.dmp": [citation],
        "delnodes.dmp": [(taxid,) for taxid in taxonomy.deleted],
        "division.dmp": [(number, *row, "") for number, row in enumerate(_DIVISIONS)],
        "gencode.dmp": _GENETIC_CODES,
        "merged.dmp": taxonomy.merged,
        "names.dmp": taxonomy.names,
        "nodes.dmp": taxonomy.nodes,
    }
    with files.atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, rows in tables.items():
            text = "".join("\t|\t".join(map(str, row)) + "\t|\n" for row in rows)
            archive.writestr(_zip_member(name), text)
        archive.writestr(_zip_member("readme.txt"), _README)


def _text(bases: np.ndarray) -> list[str]:
    return _LETTERS[bases].view(f"S{bases.shape[1]}").ravel().astype(str).tolist()


def _write_source(archive: zipfile.ZipFile, source: Source) -> None:
    """Write one FASTA file into the archive: `>TAXID INDEX`, the sequence on one line."""
    n, length = source.bases.shape
    large = n * (length + 32) > zipfile.ZIP64_LIMIT
    with archive.open(_zip_member(source.name), "w", force_zip64=large) as stream:
        for first in range(0, n, _RECORDS_AT_A_TIME):
            block = slice(first, first + _RECORDS_AT_A_TIME)
            records = zip(source.taxid[block].tolist(), _text(source.bases[block]), strict=True)
            text = "".join(f">{t} {i}\n{s}\n" for i, (t, s) in enumerate(records, first))
            stream.write(text.encode())


def _zip_member(name: str) -> zipfile.ZipInfo:
    """A deflated member whose header is the same in every run."""
    member = zipfile.ZipInfo(name, _DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


_DIVISIONS = (
    ("BCT", "Bacteria"),
    ("INV", "Invertebrates"),
    ("MAM", "Mammals"),
    ("PHG", "Phages"),
    ("PLN", "Plants and Fungi"),
    ("PRI", "Primates"),
    ("ROD", "Rodents"),
    ("SYN", "Synthetic and Chimeric"),
    ("UNA", "Unassigned"),
    ("VRL", "Viruses"),
    ("VRT", "Vertebrates"),
    ("ENV", "Environmental samples"),
)
_CODE = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_GENETIC_CODES = (
    (0, "", "Unspecified", "", ""),
    (1, "", "Standard", _CODE, "---M------**--*----M---------------M" + "-" * 28),
    (
        11,
        "",
        "Bacterial, Archaeal and Plant Plastid",
        _CODE,
        "---M------**--*----M------------MMMM---------------M------------",
    ),
)
_README = """\
A simulated taxonomy in the layout of NCBI's taxdmp.zip. Only the superkingdoms are real.

Fields are separated by "\\t|\\t", rows end in "\\t|\\n".
nodes.dmp: tax_id, parent tax_id, rank, embl code, division id, inherited div flag,
  genetic code id, inherited GC flag, mitochondrial genetic code id, inherited MGC flag,
  GenBank hidden flag, hidden subtree root flag, comments
names.dmp: tax_id, name_txt, unique name, name class
merged.dmp: old_tax_id, new_tax_id
delnodes.dmp: tax_id
division.dmp: division id, division code, division name, comments
gencode.dmp: genetic code id, abbreviation, name, cde, starts
citations.dmp: cit_id, cit_key, medline_id, pubmed_id, url, text, taxid_list
"""
