"""Annotations: which features lie where on a sequence."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from whatyouread.data.packing import open_plain
from whatyouread.support.cli import UserError
from whatyouread.support.text import decoded

INTERGENIC = "intergenic"
GENE = "gene"
"""What a gene is made of without being a type of the table: genes, transcripts, exons."""
TYPES = ("CDS", "rRNA", "tRNA", "tmRNA", "ncRNA", "pseudogene", "repeat", INTERGENIC)
"""The types of the table. A base under several of them counts for each; the last is what lies under none of
them, nor under a `GENE`."""
GENES = ("CDS", "rRNA", "tRNA", "tmRNA", "ncRNA")
_OF = {
    **dict.fromkeys(("gene", "mRNA", "transcript", "primary_transcript", "exon"), GENE),
    **{name: name for name in GENES},
    **dict.fromkeys(
        ("large_subunit_rRNA", "small_subunit_rRNA", "rRNA_5S", "rRNA_16S", "rRNA_23S"), "rRNA"
    ),
    **dict.fromkeys(
        (
            *(
                "antisense_RNA",
                "autocatalytically_spliced_intron",
                "guide_RNA",
                "lncRNA",
                "lnc_RNA",
            ),
            *("miRNA", "piRNA", "pre_miRNA", "precursor_RNA", "RNase_MRP_RNA", "RNase_P_RNA"),
            *(
                "ribozyme",
                "hammerhead_ribozyme",
                "scRNA",
                "siRNA",
                "sRNA",
                "small_regulatory_ncRNA",
            ),
            *("snRNA", "snoRNA", "SRP_RNA", "telomerase_RNA", "vault_RNA", "Y_RNA", "misc_RNA"),
        ),
        "ncRNA",
    ),
    **dict.fromkeys(
        ("pseudogenic_tRNA", "pseudogenic_rRNA", "pseudogenic_transcript", "pseudogene"),
        "pseudogene",
    ),
    **dict.fromkeys(
        (
            *("repeat_region", "direct_repeat", "inverted_repeat", "tandem_repeat", "repeat"),
            *("dispersed_repeat", "repeat_unit", "repeat_fragment", "long_terminal_repeat"),
            *("mobile_genetic_element", "mobile_element", "transposable_element", "CRISPR"),
            *("transposable_element_gene", "insertion_sequence", "transposon", "LTR"),
            *("integrated_mobile_genetic_element", "satellite_DNA", "microsatellite"),
        ),
        "repeat",
    ),
}
_KIND = {name.lower(): kind for name, kind in _OF.items()}
_NAMES = ("gene", "locus_tag", "Name", "ID")


@dataclasses.dataclass(frozen=True)
class Features:
    """The n features of one sequence, in the order of the file.

    types, strands, names, products: str objects (n,), types as the file has them; starts, ends: int64
    (n,), 0-based, half-open.
    """

    types: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    strands: np.ndarray
    names: np.ndarray
    products: np.ndarray

    def kinds(self) -> np.ndarray:
        """The types as in `TYPES`, or `GENE`, or "" for what does not matter here."""
        return np.array([kind_of(own) for own in self.types], object)


def kind_of(own: str) -> str:
    """The type of the table that a file's type belongs to: "snoRNA" is an "ncRNA"."""
    found = _KIND.get(own.lower())
    return (GENE if own.lower().endswith("_gene") else "") if found is None else found


def from_features(features: Iterable[tuple[str, int, int, str, str, str]]) -> Features:
    """Features of tuples (type, start, end, strand, name, product), 0-based and half-open."""
    columns = list(zip(*features, strict=True)) or [()] * 6
    kinds = (object, np.int64, np.int64, object, object, object)
    types, starts, ends, strands, names, products = (
        np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)
    )
    return Features(types, starts, ends, strands, names, products)


def read_annotation(path: str | Path) -> dict[str, Features]:
    """sequence -> its features, of a GFF3 file, packed or plain.

    A sequence that the file only names (`##sequence-region`) is there without features. A row is a feature:
    one that is joined of several rows counts as several. A gene that is marked as pseudo is a pseudogene.
    Raises UserError for a line that is not GFF3, with its number.
    """
    path = Path(path)
    found: dict[str, list] = {}
    try:
        stream = open_plain(path, str(path))
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    with stream:
        for number, raw in enumerate(stream, 1):
            line = raw.rstrip(b"\r\n")
            if line.startswith((b"##FASTA", b">")):
                break
            if line.startswith(b"##sequence-region"):
                words = line.split()
                if len(words) > 1:
                    found.setdefault(_text(words[1]), [])
            if not line.strip() or line.startswith(b"#"):
                continue
            try:
                name, feature = _parsed(line)
            except ValueError as error:
                raise UserError(
                    f"{path}: line {number} is not GFF3 ({error}): repair it or give another file"
                ) from None
            found.setdefault(name, []).append(feature)
    if not found:
        raise UserError(f"{path}: no features in it: give a GFF3 file")
    return {name: from_features(features) for name, features in found.items()}


def _text(field: bytes) -> str:
    return unquote(decoded(field))


def _parsed(line: bytes) -> tuple[str, tuple[str, int, int, str, str, str]]:
    columns = line.split(b"\t")
    if len(columns) != 9:
        raise ValueError(f"{len(columns)} columns in place of 9, which tabs divide")
    seqid, _, own, first, last, _, strand, _, attributes = columns
    if not (first.isdigit() and last.isdigit()) or not 1 <= int(first) <= int(last) < 2**63:
        shown = b"-".join((first, last))[:40].decode("utf-8", "replace")
        raise ValueError(f"{shown!r} are no places counted from 1")
    if strand not in (b"+", b"-", b".", b"?"):
        raise ValueError("the strand is none of + - . ?")
    pairs = (pair.partition(b"=") for pair in attributes.split(b";"))
    said = {key.strip(): value for key, _, value in pairs}
    name = next((said[key.encode()] for key in _NAMES if said.get(key.encode())), b"")
    kind = _text(own)
    pseudo = said.get(b"pseudo") == b"true" or b"pseudogene" in said
    if kind == "gene" and (pseudo or said.get(b"gene_biotype", b"").endswith(b"pseudogene")):
        kind = "pseudogene"
    product = said.get(b"product") or said.get(b"Note") or b""
    strand = strand.decode().replace("?", ".")
    return _text(seqid), (kind, int(first) - 1, int(last), strand, _text(name), _text(product))
