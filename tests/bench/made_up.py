"""Token files and mask files of random content: only time and memory are looked at."""

from pathlib import Path

import numpy as np

RUN_LENGTH = 44  # tokens; gives the 3.35 relevant chunks per sequence that the paper has, about


def lineages(classes: dict[str, int], seed: int = 0) -> np.ndarray:
    """For each class of the lowest rank, those above it: int64 (lowest, ranks), every class used."""
    rng, counts = np.random.default_rng(seed), list(classes.values())
    table = np.empty((counts[-1], len(counts)), np.int64)
    table[:, -1] = np.arange(counts[-1])
    for rank in range(len(counts) - 2, -1, -1):
        above = np.concatenate(
            [np.arange(counts[rank]), rng.integers(counts[rank], size=counts[rank + 1])]
        )[: counts[rank + 1]]
        table[:, rank] = above[table[:, rank + 1]]
    return table


def write_sequences(path: Path, sizes, number: int, padded: float = 0.0, seed: int = 0):
    """A token file of random six-mers behind `<cls>`; returns it opened.

    padded: the share of sequences that are longer by 1 to 19 tokens, as those with an N are.
    """
    import pyarrow as pa

    from whatyouread.data.six_mers import CLS, FIRST_KMER, SIX_MERS
    from whatyouread.data.token_files import TokenFile, schema, write_token_files

    rng = np.random.default_rng(seed)
    ranks = list(sizes.classes)
    lengths = sizes.length + (rng.random(number) < padded) * rng.integers(1, 20, number)
    offsets = np.append(0, lengths.cumsum())
    flat = rng.integers(FIRST_KMER, FIRST_KMER + 4096, offsets[-1], dtype=np.uint16)
    flat[offsets[:-1]] = CLS
    labels = lineages(sizes.classes)[rng.integers(sizes.classes[ranks[-1]], size=number)]
    columns = [
        pa.array([f"made up:{i}" for i in range(number)]),
        pa.array(rng.integers(2**63, size=number, dtype=np.uint64)),
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.uint16())),
        *(pa.array(column, pa.int32()) for column in labels.T),
    ]
    with write_token_files([path], ranks, SIX_MERS) as [writer]:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema(ranks, SIX_MERS)))
    return TokenFile(path, ranks)


def write_runs(path: Path, file, seed: int = 0) -> np.ndarray:
    """A file of masks with runs of about `RUN_LENGTH` tokens, as those of a trained Explainer have.

    Returns the lengths of the chunks, relevant or not, of all sequences.
    """
    import pyarrow.parquet as pq

    from whatyouread.masks.choices import CHOICES
    from whatyouread.masks.chunks import find_chunks
    from whatyouread.masks.mask_files import mask_rows, mask_schema

    rng, found = np.random.default_rng(seed), []
    with pq.ParquetWriter(path, mask_schema(file.ranks)) as writer:
        for rows in np.array_split(np.arange(len(file)), 1 + len(file) // 8192):
            shape = (len(rows), file.lengths[rows].max())
            on = (rng.random(shape) < 1 / RUN_LENGTH).cumsum(1) % 2 == rng.integers(
                2, size=(shape[0], 1)
            )
            mask = np.where(on, 0.85, 0.25).astype(np.float16)
            classes = np.stack([file.labels[rows]] * len(CHOICES))
            masks, content = np.stack([mask] * len(CHOICES)), file.batch(rows).content
            writer.write_batch(mask_rows(file, rows, content, classes, masks))
            chunks = find_chunks(on, content)
            found.append(chunks.end - chunks.start)
    return np.concatenate(found)
