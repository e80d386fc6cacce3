"""Explain somebody's sequences: from files to predictions, tracks, tables and a page."""

import contextlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from whatyouread.data.packing import without_packing
from whatyouread.data.records import Meter, Record, read_records
from whatyouread.explain import outputs, tables
from whatyouread.explain.annotation import from_features, read_annotation
from whatyouread.explain.intake import BLOCK, Records, blocks
from whatyouread.explain.predictions import of_records
from whatyouread.explain.requests import asked_classes, read_regions
from whatyouread.explain.scoring import Blocks, Scorer
from whatyouread.explain.windows import Layout
from whatyouread.explainers.saved import SavedExplainer, load_explainer
from whatyouread.models.classifier_record import read_classifier_record
from whatyouread.models.hub import find_model
from whatyouread.models.inference import Passes, choose_device
from whatyouread.support import files
from whatyouread.support.cli import UserError, log
from whatyouread.support.progress import progress
from whatyouread.support.provenance import versions
from whatyouread.support.text import named
from whatyouread.training import checkpoints
from whatyouread.training.train import computed_on

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Request:
    """What the command line of `explain_sequences` asks for; see its help."""

    model: str
    fasta: list[str]
    output_dir: Path
    sample: str | None = None
    classifier: Path | None = None
    regions: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    annotation: Path | None = None
    strands: str = "merged"
    offsets: int = 1
    window: int | None = None
    overlap: float = 0.5
    gap: int = 10
    permutations: int = 1000
    seed: int = 42
    batch_size: int = 64
    precision: str = "fp32"
    device: str | None = None
    threads: int = 1
    work_dir: Path | None = None
    restart: bool = False


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
    _refuse_foreign(request.output_dir, name)
    regions = read_regions(request.regions) if request.regions else None
    annotation = read_annotation(request.annotation) if request.annotation else {}
    device = choose_device(request.threads, request.precision)
    saved = load_explainer(find_model(request.model), request.classifier)
    layout = _layout(request, saved)
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
        "layout": asdict(layout),
        "asked": asked.tolist(),
        "batch_size": request.batch_size,
        "precision": request.precision,
        "computed_on": computed_on(),
    }
    work = request.work_dir or request.output_dir / f".{name}.work"
    with _work(work, settings, request.restart), Records(work / "bases", regions) as records:
        passes = Passes(saved.explanandum, request.batch_size, device, request.precision)
        scored = Blocks(work / "windows")
        _score(scored, records, layout, request, Scorer(saved.explainer, passes, asked))
        whole = of_records(scored, records, saved.explanandum.levels)
        sample = outputs.Sample(
            name,
            records,
            scored,
            whole,
            whole.explained(asked),
            saved.levels,
            saved.explanandum.levels,
            layout,
        )
        scratch = work / "results"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        summary = _write(scratch, sample, annotation, saved, request, settings, write_page)
        _publish(scratch, request.output_dir, name)
    for line in _in_words(summary):
        log.info("%s", line)
    return summary


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


def _refuse_foreign(folder: Path, name: str) -> None:
    """Raise UserError where files would be overwritten that an earlier run did not make."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"--output-dir {folder} is no folder")
    made, ours = _made_before(folder / _record_name(name)), f"{name}."
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if (path.name.startswith(ours) or path.name == "index.html") and path.name not in made:
            raise UserError(
                f"{path} is there and was not made by an earlier run for {name}: nothing is"
                " overwritten; give another --output-dir or --sample, or move it away yourself"
            )


def _record_name(name: str) -> str:
    return f".{name}.files.json"


def _made_before(record: Path) -> list[str]:
    """The files that the last run for this sample made."""
    return list(files.read_json(record).get("files", ())) if record.exists() else []


def _layout(request: Request, saved: SavedExplainer) -> Layout:
    tokenizer = saved.explainer.tokenizer
    frame = tokenizer.frames
    trained = (saved.tokens - len(tokenizer.before) - len(tokenizer.after)) * frame
    window = trained if request.window is None else request.window // frame * frame
    if not 0 <= request.overlap < 1:
        raise UserError(f"--overlap {request.overlap}: give a share from 0 to below 1")
    step = max(frame, round(window * (1 - request.overlap) / frame) * frame)
    return Layout(window, step, frame, request.offsets, request.strands, request.gap)


@contextlib.contextmanager
def _work(folder: Path, settings: dict, restart: bool) -> Iterator[None]:
    """The folder of an unfinished run, which goes when the run is finished."""
    mark = folder / "stamp.json"
    checkpoints.hold(folder, "explaining with this work folder")
    try:
        yield from _held(folder, mark, settings, restart)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = str(folder)  # the libraries do not say where
        # what holds no finished block would help no later run
        if mark.exists() and not any((folder / "windows").glob("[!.]*")):
            _empty(folder)
            checkpoints.remove(folder)
        checkpoints.release(folder)
        raise
    _empty(folder)
    checkpoints.remove(folder)


def _held(folder: Path, mark: Path, settings: dict, restart: bool) -> Iterator[None]:
    # a kill may have left an unfinished stamp
    others = [path for path in (folder.iterdir() if folder.exists() else ()) if path.name[0] != "."]
    if others and not mark.exists():
        raise UserError(f"{folder} holds something else: give another --work-dir")
    if mark.exists() and (restart or files.read_json(mark) != settings):
        if not restart:
            log.warning("%s is of another model or other settings: starting anew", folder)
        _empty(folder)
    if not mark.exists() or files.read_json(mark) != settings:
        files.write_json(mark, settings)
    # after the stamp, which tells whose folder this is
    (folder / "windows").mkdir(exist_ok=True)
    yield


def _empty(folder: Path) -> None:
    """Remove all from a work folder but its stamp, which goes last."""
    for part in ("windows", "results"):
        shutil.rmtree(folder / part, ignore_errors=True)
    (folder / "bases").unlink(missing_ok=True)


def _records(paths: Iterable[str], meter: Meter) -> Iterator[Record]:
    for path in paths:
        yield from read_records(path if path == STANDARD_INPUT else Path(path), meter=meter)


def _bytes(paths: Iterable[str]) -> int:
    """What there is to read; 0 where that cannot be known."""
    sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path in paths]
    return sum(sizes) if all(sizes) else 0


def _score(
    scored: Blocks, records: Records, layout: Layout, request: Request, scorer: Scorer
) -> None:
    meter, size = Meter(), _bytes(request.fasta)
    windows = blocks(
        _records(request.fasta, meter), layout, records, max(BLOCK, request.batch_size)
    )
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
    saved: SavedExplainer,
    request: Request,
    settings: dict,
    write_page,
) -> dict:
    records, name = sample.records, sample.name
    predictions = scratch / f"{name}.predictions.tsv"
    tables.write_predictions(
        predictions, sample.blocks, records, sample.whole, sample.levels, sample.heads
    )
    tables.write_masks(scratch / f"{name}.masks.parquet", sample.blocks, records, sample.levels)
    counts = outputs.write_tracks(scratch, sample)
    features = _features(annotation, records)
    found = None
    if features:
        found = outputs.mask_on_features(sample, features, request.permutations, request.seed)
        table = found.table()
        files.write_tsv(scratch / f"{name}.annotation.tsv", table, float_format="%.4g")
        files.write_tsv(scratch / f"{name}.genes.tsv", found.genes(), float_format="%.4g")
    summary = _summary(sample, counts, saved, request, settings)
    if write_page is not None:
        table = None if found is None else table
        summary["page"] = write_page(
            scratch / "index.html", sample, features, table, _facts(summary)
        )
    files.write_json(scratch / f"{name}.summary.json", summary)
    return summary


def _features(annotation: dict, records: Records) -> dict:
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


def _summary(
    sample: outputs.Sample,
    counts: dict[str, int],
    saved: SavedExplainer,
    request: Request,
    settings: dict,
) -> dict:
    """What `summary.json` says: counts, settings, digests and versions."""
    records = sample.records
    said = Counter(tables.status(records, sample.whole).tolist())
    kinds = list(dict.fromkeys(kind for own in records.counts for kind in own))
    return {
        "sample": sample.name,
        "sequences": {
            "read": len(records),
            **{state: said[state] for state in tables.STATES},
            "empty": sum(records.length(i) == 0 for i in range(len(records))),
            **{f"with {k}": sum(own.get(k, 0) > 0 for own in records.counts) for k in kinds},
        },
        "bases": {
            "read": int(records.starts[-1]),
            **{kind: sum(own.get(kind, 0) for own in records.counts) for kind in kinds},
            "asked for": int(np.diff(records.shown).sum()),
            "with a score": counts["scored_bases"],
            "in spans": counts["bases_in_spans"],
        },
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
            "sequences": records.digest.hexdigest(),
        },
        "versions": versions(),
    }


def _facts(summary: dict) -> dict[str, object]:
    """What the page says of a run, in words."""
    layout, model = summary["settings"]["layout"], summary["model"]
    read, bases = summary["sequences"], summary["bases"]
    return {
        "Explainer": f"{model['explainer']} (SHA-256 {summary['sha256']['explainer'][:12]}…)",
        "classifier": f"{model['classifier']} (SHA-256 {summary['sha256']['classifier'][:12]}…)",
        "mask": model["mask"],
        "sequences": f"{read['explained']:,} explained of {read['read']:,}",
        "bases": f"{bases['with a score']:,} with a score of {bases['read']:,}",
        "windows": f"{summary['windows']:,} of {layout['window']:,} bases, one every {layout['step']:,}",
        "strands": layout["strands"],
        "reading frames": layout["offsets"],
        "regions": ", ".join(summary["regions"]) or "everything",
        "classes": ", ".join(summary["classes"]) or "those that are predicted",
    }


def _in_words(summary: dict) -> Iterator[str]:
    read, bases = summary["sequences"], summary["bases"]
    yield (
        f"{read['explained']:,} of {read['read']:,} sequences explained, {bases['with a score']:,} of"
        f" {bases['read']:,} bases with a score, {summary['windows']:,} windows"
    )


def _publish(scratch: Path, folder: Path, name: str) -> None:
    """Move finished files to their folder, where those of an earlier run may lie.

    A folder on another file system, which may be full, first gets all of them beside the old ones.
    """
    record, coming = folder / _record_name(name), folder / f".{name}.coming"
    made = sorted(path.name for path in scratch.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_foreign(folder, name)  # another run may have ended there meanwhile
    shutil.rmtree(coming, ignore_errors=True)
    try:
        coming.mkdir()
        for new in made:
            shutil.move(scratch / new, coming / new)
        before = _made_before(record)
        # first, so that a kill in between leaves no file that seems another's
        files.write_json(record, {"files": sorted({*before, *made})})
        for new in made:
            os.replace(coming / new, folder / new)
    except OSError as error:
        if Path(str(error.filename)).parent == scratch:  # it was read without trouble
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    for old in set(before) - set(made):
        (folder / old).unlink(missing_ok=True)
    files.write_json(record, {"files": made})
