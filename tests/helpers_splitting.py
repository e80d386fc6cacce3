"""Indices, label tables and divisions for the tests of splitting."""

import numpy as np
import pandas as pd
import pyarrow as pa

from whatyouread.data import census, copies, splitting
from whatyouread.data.labels import label_sequences
from whatyouread.data.levels import Level


def rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def settings(**changed):
    values = {
        "test": 0.1,
        "validation": 0.2,
        "explainer_train": 0.5,
        "explainer_validation": 1.0,
    }
    return splitting.Settings(**values | changed)


def data(taxids, hashes=None, lengths=None, statuses=()):
    """An index of sequences and their classes: genus = taxid, phylum = taxid // 10."""
    index, labels, levels = tables(taxids, hashes, lengths, statuses)
    return index, label_sequences(index, labels, levels)


def tables(taxids, hashes=None, lengths=None, statuses=()):
    """An index of sequences, the label table of its taxids, and the levels."""
    taxids = np.asarray(taxids)
    size = len(taxids)
    index = pa.table(
        {
            "source": pa.array(["a.fa", "b.fa"] * size).slice(0, size).dictionary_encode(),
            "header": [f"{taxid} {n}" for n, taxid in enumerate(taxids)],
            "taxid": pa.array(taxids, pa.int32()),
            "length": pa.array(np.full(size, 9) if lengths is None else lengths, pa.int32()),
            "hash": pa.array(
                rng(5).permutation(size).astype(np.uint64) if hashes is None else hashes,
                pa.uint64(),
            ),
        },
        schema=census.index_schema(pa.field("taxid", pa.int32())),
    )
    known = np.unique(taxids)
    labels = pd.DataFrame({"taxid": known.astype(str), "status": "kept"})
    for taxid, status in statuses:
        labels.loc[labels["taxid"] == str(taxid), "status"] = status
    levels = []
    for name, of_level in (("phylum", known // 10), ("genus", known)):
        labels[f"{name}_taxid"] = (of_level + 1000).astype(str)
        taxa = np.unique(of_level[labels["status"] == "kept"])
        paths = tuple(str(taxon + 1000) for taxon in taxa)
        names = tuple(f"{name} {taxon:03d}" for taxon in taxa)
        levels.append(Level(name, "taxid", paths, names))
    return index, labels, levels


def divide(index, labelled, seed=1, **changed):
    """group_by: none, duplicates, or the groups themselves."""
    changed.setdefault("group_by", "none")
    grouped = changed["group_by"]
    if isinstance(grouped, str):
        grouped = splitting.groups(index, None, settings(**changed))
    else:
        grouped, changed["group_by"] = np.asarray(grouped), "cluster"
    return splitting.divide(index, labelled, settings(**changed), seed, grouped)


def table_of_copies(clusters, reverse=None):
    clusters = np.asarray(clusters, np.int32)
    reverse = np.arange(1000, 1000 + len(clusters)) if reverse is None else reverse
    lengths = np.full(len(clusters), 9, np.int32)
    columns = [lengths, np.asarray(reverse, np.uint64), clusters]
    return pa.table(columns, schema=copies.SCHEMA)
