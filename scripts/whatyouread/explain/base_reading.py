"""DNA base by base: FASTA, FASTQ or GenBank, both strands, tracks for genome browsers."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from whatyouread.data.records import STANDARD_INPUT, Meter, Record, read_records
from whatyouread.explain import outputs, tables
from whatyouread.explain.annotation import from_features
from whatyouread.explain.intake import Records
from whatyouread.explain.reading import Reading, Written, fates, kinds_counted
from whatyouread.explain.windows import Layout
from whatyouread.support import files
from whatyouread.support.cli import UserError
from whatyouread.support.text import named


class BaseReading(Reading):
    """Windows as long as the training sequences, in bases."""

    unit = "bases"

    def _layout(self) -> Layout:
        request, tokenizer = self.request, self.saved.explainer.tokenizer
        if request.longer != "window":
            raise UserError("--longer is for proteins and texts: DNA is always read in windows")
        frame = tokenizer.frames
        trained = (self.saved.tokens - len(tokenizer.before) - len(tokenizer.after)) * frame
        window = trained if request.window is None else request.window // frame * frame
        step = self._step(window, frame)
        return Layout(window, step, frame, request.offsets, request.strands, request.gap)

    def records(self, folder: Path, regions: Mapping[str, np.ndarray] | None) -> Records:
        return Records(folder / "bases", regions)

    def stream(self, meter: Meter) -> Iterator[Record]:
        for path in self.request.fasta:
            yield from read_records(path if path == STANDARD_INPUT else Path(path), meter=meter)

    def write(self, folder: Path, sample: outputs.Sample, annotation: Mapping) -> Written:
        records, name = sample.records, sample.name
        tables.write_masks(folder / f"{name}.masks.parquet", sample.blocks, records, sample.levels)
        counts = outputs.write_tracks(folder, sample)
        features = _features(annotation, records)
        if not features:
            return Written(counts)
        request = self.request
        found = outputs.mask_on_features(sample, features, request.permutations, request.seed)
        table = found.table()
        files.write_tsv(folder / f"{name}.annotation.tsv", table, float_format="%.4g")
        files.write_tsv(folder / f"{name}.genes.tsv", found.genes(), float_format="%.4g")
        return Written(counts, features, table)

    def counted(
        self, sample: outputs.Sample, counts: Mapping[str, int]
    ) -> dict[str, dict[str, int]]:
        records = sample.records
        kinds = kinds_counted(records.counts)
        return {
            "sequences": {
                **fates(sample),
                **{f"with {k}": sum(own.get(k, 0) > 0 for own in records.counts) for k in kinds},
            },
            self.unit: {
                "read": int(records.starts[-1]),
                **{kind: sum(own.get(kind, 0) for own in records.counts) for kind in kinds},
                "asked for": int(np.diff(records.shown).sum()),
                "with a score": counts["scored_bases"],
                "in spans": counts["bases_in_spans"],
            },
        }

    def facts(self, summary: Mapping) -> dict[str, object]:
        layout = self.layout
        return {
            "windows": f"{summary['windows']:,} of {layout.window:,} bases, one every {layout.step:,}",
            "strands": layout.strands,
            "reading frames": layout.offsets,
        }


def _features(annotation: Mapping, records: Records) -> Mapping:
    """Features by sequence: those of the annotation, else what the records themselves bring.

    Raises UserError where an annotation is of other sequences.
    """
    if annotation:
        if records.names and not annotation.keys() & set(records.names):
            raise UserError(
                f"--annotation is of {named([*annotation], 5)}, and the sequences are"
                f" {named(records.names, 5)}: one must have the names of the other"
            )
        return annotation
    return {
        name: from_features(own)
        for name, own in zip(records.names, records.features, strict=True)
        if own
    }
