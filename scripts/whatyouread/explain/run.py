"""Explain somebody's sequences: from files to predictions, tracks, tables and a page."""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from whatyouread.data.normalisation import DNA
from whatyouread.data.packing import without_packing
from whatyouread.data.records import STANDARD_INPUT, Meter
from whatyouread.explain import outputs, tables
from whatyouread.explain.annotation import read_annotation
from whatyouread.explain.base_reading import BaseReading
from whatyouread.explain.folders import publish, refuse_foreign, work_folder
from whatyouread.explain.intake import BLOCK, Records, blocks
from whatyouread.explain.predictions import of_records
from whatyouread.explain.reading import Reading
from whatyouread.explain.requests import Request, asked_classes, read_regions
from whatyouread.explain.scoring import Blocks, Scorer
from whatyouread.explain.token_reading import TokenReading
from whatyouread.explainers.saved import SavedExplainer, load_explainer
from whatyouread.models.classifier_record import read_classifier_record
from whatyouread.models.hub import find_model
from whatyouread.models.inference import Passes, choose_device
from whatyouread.support import files
from whatyouread.support.cli import UserError, log
from whatyouread.support.progress import progress
from whatyouread.support.provenance import versions
from whatyouread.training.train import computed_on


def explain(request: Request, write_page=None) -> dict:
    """Explain the sequences of a request and write its folder; return what `summary.json` says.

    write_page: writes `index.html` from a finished `outputs.Sample` (`report.explain_page`). Raises
    UserError for all that the user can mend; the output folder then is as it was, and a run that goes
    on later does not compute again what is done.
    """
    _check_numbers(request)
    if request.device:
        os.environ["WHATYOUREAD_DEVICE"] = request.device
    name = _sample_name(request)
    refuse_foreign(request.output_dir, name)
    regions = read_regions(request.regions) if request.regions else None
    annotation = read_annotation(request.annotation) if request.annotation else {}
    device = choose_device(request.threads, request.precision)
    saved = load_explainer(find_model(request.model), request.classifier)
    reading = reading_of(saved)(request, saved)
    asked = asked_classes(request.classes, saved.levels)
    if (asked >= 0).any() and saved.explainer.target == "sequence":
        log.warning(
            "this Explainer makes one mask for all classes: --classes chooses only the class whose"
            " probability is shown"
        )
    settings = {
        "explainer": files.sha256(saved.folder / "model.safetensors"),
        "gate": asdict(saved.explainer.gate),
        "classifier": read_classifier_record(saved.folder).sha256,  # loading has checked it
        "layout": asdict(reading.layout),
        "asked": asked.tolist(),
        "batch_size": request.batch_size,
        "precision": request.precision,
        "computed_on": computed_on(),
        **reading.settings(),
    }
    work = request.work_dir or request.output_dir / f".{name}.work"
    with (
        work_folder(work, settings, request.restart),
        reading.records(work, regions) as records,
    ):
        passes = Passes(saved.explanandum, request.batch_size, device, request.precision)
        scored = Blocks(work / "windows")
        _score(scored, records, reading, request, Scorer(saved.explainer, passes, asked))
        whole = of_records(scored, records, saved.explanandum.levels)
        sample = outputs.Sample(
            name,
            records,
            scored,
            whole,
            whole.explained(asked),
            saved.levels,
            saved.explanandum.levels,
            reading.layout,
        )
        scratch = work / "results"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        summary = _write(scratch, sample, annotation, reading, request, settings, write_page)
        publish(scratch, request.output_dir, name)
    log.info("%s", _in_words(summary, reading.unit))
    return summary


def reading_of(saved: SavedExplainer) -> type[Reading]:
    """How a model's sequences are read: base by base only where bases follow from the tokens."""
    by_bases = saved.alphabet == DNA and not saved.tokenizer.stores_spans
    return BaseReading if by_bases else TokenReading


def _check_numbers(request: Request) -> None:
    for name, least in (("batch_size", 1), ("threads", 1), ("permutations", 1), ("seed", 0)):
        if (given := getattr(request, name)) < least:
            option = "--" + name.replace("_", "-")
            raise UserError(f"{option} {given}: give a whole number from {least} on")


def _sample_name(request: Request) -> str:
    given = request.sample
    if given is None:
        first = request.fasta[0]
        if first == STANDARD_INPUT:
            given = "sequences"
        else:
            given = re.sub(r"\.[A-Za-z0-9]+$", "", without_packing(Path(first).name)) or "sequences"
    if (
        not re.fullmatch(r"[^\s/\\]([^/\\\x00-\x1f]*[^\s/\\])?", given)
        or given[0] == "."
        or not _is_text(given)
    ):
        raise UserError(f"--sample {given!r}: give a name that can begin the names of files")
    for option, path in {
        "--output-dir": request.output_dir,
        "--work-dir": request.work_dir,
    }.items():
        if not _is_text(str(path)):  # the libraries take no other names
            raise UserError(f"{option} {str(path)!r}: its name is no UTF-8: give another one")
    return given


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _score(
    scored: Blocks, records: Records, reading: Reading, request: Request, scorer: Scorer
) -> None:
    meter, size = Meter(), _bytes(request.fasta)
    source = reading.stream(meter)
    windows = blocks(source, reading.layout, records, max(BLOCK, request.batch_size))
    with progress("explaining", None, "windows") as bar:
        for number in scored.fill(windows, records, scorer):
            if size:
                # of what is not read yet, as many windows for a byte as of what is
                bar.total = round(records.windows * max(size / max(meter.read, 1), 1))
            bar.update(number)
    if not len(records):
        log.warning("%s: no sequence in it", ", ".join(request.fasta))
    if scored.computed < len(scored):
        log.info(
            "%d of %d blocks of windows were there from a run before",
            len(scored) - scored.computed,
            len(scored),
        )


def _write(
    scratch: Path,
    sample: outputs.Sample,
    annotation: dict,
    reading: Reading,
    request: Request,
    settings: dict,
    write_page,
) -> dict:
    records, name = sample.records, sample.name
    predictions = scratch / f"{name}.predictions.tsv"
    tables.write_predictions(
        predictions, sample.blocks, records, sample.whole, sample.levels, sample.heads
    )
    written = reading.write(scratch, sample, annotation)
    summary = _summary(sample, written.counts, reading, request, settings)
    if write_page is not None:
        summary["page"] = write_page(
            scratch / "index.html",
            sample,
            written.features,
            written.enrichment,
            _facts(summary, reading),
        )
    files.write_json(scratch / f"{name}.summary.json", summary)
    return summary


def _bytes(paths: Iterable[str]) -> int:
    """What there is to read; 0 where that cannot be known."""
    sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path in paths]
    return sum(sizes) if all(sizes) else 0


def _summary(
    sample: outputs.Sample,
    counts: dict[str, int],
    reading: Reading,
    request: Request,
    settings: dict,
) -> dict:
    """What `summary.json` says: counts, settings, digests and versions."""
    saved = reading.saved
    return {
        "sample": sample.name,
        **reading.counted(sample, counts),
        "windows": int(sample.whole.windows.sum()),
        "spans": counts["spans"],
        "model": {
            "explainer": request.model,
            "classifier": str(saved.classifier),
            "mask": "one for all classes" if saved.explainer.target == "sequence" else "per class",
        },
        "settings": settings,
        "regions": request.regions,
        "classes": request.classes,
        "input": request.fasta,
        "sha256": {
            "explainer": settings["explainer"],
            "classifier": settings["classifier"],
            "sequences": sample.records.digest.hexdigest(),
        },
        "versions": versions(),
    }


def _facts(summary: dict, reading: Reading) -> dict[str, object]:
    """What the page says of a run, in words."""
    model = summary["model"]
    read, letters = summary["sequences"], summary[reading.unit]
    return {
        "Explainer": f"{model['explainer']} (SHA-256 {summary['sha256']['explainer'][:12]}…)",
        "classifier": f"{model['classifier']} (SHA-256 {summary['sha256']['classifier'][:12]}…)",
        "mask": model["mask"],
        "sequences": f"{read['explained']:,} explained of {read['read']:,}",
        reading.unit: f"{letters['with a score']:,} with a score of {letters['read']:,}",
        **reading.facts(summary),
        "regions": ", ".join(summary["regions"]) or "everything",
        "classes": ", ".join(summary["classes"]) or "those that are predicted",
    }


def _in_words(summary: dict, unit: str) -> str:
    read, letters = summary["sequences"], summary[unit]
    return (
        f"{read['explained']:,} of {read['read']:,} sequences explained,"
        f" {letters['with a score']:,} of {letters['read']:,} {unit} with a score,"
        f" {summary['windows']:,} windows"
    )
