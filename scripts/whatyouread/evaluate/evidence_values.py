"""How well each method finds the evidence in each text: the values behind the table, of one run or more."""

import dataclasses
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whatyouread.data.kinds import Single, kinds_of
from whatyouread.data.planted import has_places, planted_in, planted_tokens
from whatyouread.data.positions import ANY
from whatyouread.data.token_files import TokenFile, label_fields
from whatyouread.data.whole_texts import WholeTexts
from whatyouread.evaluate.evidence import evidence_share, iou_f1, token_f1, top_tokens
from whatyouread.masks.choices import OTHERS, THRESHOLD, UNCOUNTED, column
from whatyouread.masks.controls import CONTROLS
from whatyouread.methods.files import COMBINED, Attributions
from whatyouread.support.cli import UserError, log
from whatyouread.support.files import atomic, parquet_errors, read_parquet
from whatyouread.support.statistics import average_precision
from whatyouread.support.text import counted, named

MEASURES = ("auprc", "token_f1", "iou_f1", "mask_token_f1", "mask_iou_f1")
"""Scores; the best tokens, as many as people mark on average; the mask itself, where the method makes one."""
ABOUT = ("method", "control", "evidence")
"""What a value is of, beside its text."""
_TEXTS = ("id", "key", "windows", "missing", "divided", "right")
_RANKS = b"ranks"


@dataclasses.dataclass(frozen=True)
class EvidenceValues:
    """The values of m texts (or other sequences), each read at once or in windows.

    texts: a row for each, in order, with its `id`, `key` (uint64), number of `windows`, how many of them
    are `missing` in what the methods explained, whether it is `divided` at all, and whether the classifier
    is `right` about it. labels, predicted: int64 (m, ranks), whose meaning `kinds` says (`data.kinds`).
    measures: a row for each method, control, group of evidence and text, with `method`, `control`,
    `evidence`, `text` (a row of `texts`), `share` (of its tokens that are evidence; 0: it has none), and
    `MEASURES`, NaN where there is none. runs: how many runs these are of.
    """

    ranks: list[str]
    kinds: list[Single]
    texts: pd.DataFrame
    labels: np.ndarray
    predicted: np.ndarray
    measures: pd.DataFrame
    runs: int = 1


def evidence_values(
    file: TokenFile,
    methods: dict[str, Attributions],
    planted: pd.DataFrame,
    masks: Collection[str],
    seed: int,
    whole: TokenFile | None = None,
) -> EvidenceValues:
    """The values of all methods.

    file: the sequences that all methods explained; planted: of `read_planted`; masks: the methods whose
    scores are masks, which have a threshold of their own; whole: the token file that the sequences were
    drawn from, which tells which windows of a text are missing. The scores are those for the predicted
    classes together; controls are those of masks, made in the whole text, and the scores for other classes
    (`wrong_class`, `runner_up_class`).
    """
    first = next(iter(methods.values()))
    usable = has_places(file)
    _warn_of_lost(file, planted, usable)
    joined = WholeTexts(file)
    content, usable, keys = joined.put(first.content), joined.every(usable), joined.keys
    labels, predicted = file.labels[joined.first], first.predicted
    if not joined.alone:
        sizes = first.content.sum(1)
        predicted = np.stack(
            [
                kind.together(own, joined.of, sizes)
                for kind, own in zip(file.kinds, predicted.T, strict=True)
            ],
            axis=1,
        )
    texts = pd.DataFrame(
        {
            "id": joined.ids,
            "key": keys,
            "windows": joined.windows,
            "missing": 0 if whole is None else joined.missing(whole),
            "divided": joined.divided,
            "right": _right(labels, predicted),
        }
    )
    _tell_of_windows(file, texts, joined, first.predicted, predicted)
    groups = sorted(planted["rank"].unique())
    truths = {ANY: planted_tokens(file, planted)}
    if len(groups) > 1:
        truths |= {g: planted_tokens(file, planted[planted["rank"] == g]) for g in groups}
    truths = {name: joined.put(truth) & content & usable[:, None] for name, truth in truths.items()}
    some = int(truths[ANY].any(1).sum())
    say = log.info if some else log.warning
    say("%s of %s have evidence", f"{some:,}", counted(len(joined), "compared sequence"))
    rows = []
    for method, made in methods.items():
        for control, scores in _variants(made, joined, content, keys, seed):
            for group, truth in truths.items():
                fraction = evidence_share(truth, content)
                values = {"auprc": average_precision(scores, truth, content)}
                best = top_tokens(scores, content, keys, seed, fraction)
                values |= _hard("", best, truth, content)
                if method in masks:
                    values |= _hard("mask_", scores > THRESHOLD, truth, content)
                about = dict(zip(ABOUT, (method, control, group), strict=True))
                about["text"] = np.arange(len(joined))
                about["share"] = truth.sum(1) / np.maximum(content.sum(1), 1)
                rows.append(pd.DataFrame(about | dict.fromkeys(MEASURES, np.nan) | values))
    measures = pd.concat(rows, ignore_index=True)
    return EvidenceValues(file.ranks, list(file.kinds), texts, labels, predicted, measures)


def pooled(parts: Sequence[EvidenceValues], names: Sequence[object]) -> EvidenceValues:
    """The values of several runs as those of one; names: of the runs, for messages.

    Raises UserError for runs of other levels, methods or controls, and for a text that several have.
    """
    whole = parts[0]
    for part, name in zip(parts[1:], names[1:], strict=True):
        if part.ranks != whole.ranks or part.kinds != whole.kinds:
            raise UserError(
                f"{names[0]} has the levels {_levels(whole)}, and {name} {_levels(part)}: give runs with the"
                " same ones"
            )
        for what in ABOUT[:2]:
            one, other = (list(dict.fromkeys(p.measures[what])) for p in (whole, part))
            if set(one) != set(other):
                raise UserError(
                    f"{names[0]} has the {what}s {', '.join(one)}, and {name} {', '.join(other)}: give runs"
                    " with the same ones"
                )
    seen: dict[str, object] = {}
    for part, name in zip(parts, names, strict=True):
        own = part.texts["id"].unique()
        if both := [text for text in own if text in seen]:
            raise UserError(
                f"{seen[both[0]]} and {name} have both tested {counted(len(both), 'text')}"
                f" ({named([repr(text) for text in both], 3)}): give runs with test splits of their own"
            )
        seen |= dict.fromkeys(own, name)
    before = np.cumsum([0, *(len(part.texts) for part in parts[:-1])])
    # in the order of the first run, so that the table has that of its own
    measures = pd.concat(
        [
            p.measures.assign(text=p.measures["text"] + n)
            for p, n in zip(parts, before, strict=True)
        ],
        ignore_index=True,
    )
    return EvidenceValues(
        whole.ranks,
        whole.kinds,
        pd.concat([part.texts for part in parts], ignore_index=True),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        measures,
        sum(part.runs for part in parts),
    )


def write_values(path: Path, values: EvidenceValues) -> None:
    """Write the values of one run: first a row for each text, with its classes, then the measures."""
    fields = label_fields(_label_columns(values.ranks), [k for k in values.kinds for _ in range(2)])
    numbers = np.stack([values.labels, values.predicted], 2).reshape(len(values.texts), -1)
    own = {name: pa.array(values.texts[name]) for name in _TEXTS}
    own |= {f.name: pa.array(n, f.type) for f, n in zip(fields, numbers.T, strict=True)}
    ids = own["id"].take(pa.array(values.measures["text"]))
    other = {"id": ids, "text": pa.array(values.measures["text"], pa.int64())}
    other |= {name: pa.array(values.measures[name].astype(str)) for name in ABOUT}
    # nan is a value, not a missing one
    other |= {
        name: pa.array(values.measures[name].to_numpy(np.float64)) for name in ("share", *MEASURES)
    }
    table = pa.concat_tables([pa.table(own), pa.table(other)], promote_options="default")
    table = table.replace_schema_metadata({_RANKS: json.dumps(values.ranks)})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_values(path: Path) -> EvidenceValues:
    """Read what `write_values` wrote. Raises UserError if it is damaged or something else."""
    with parquet_errors(path):
        ranks = (pq.read_schema(path).metadata or {}).get(_RANKS)
    if ranks is None:
        raise UserError(f"{path} has no values of texts: it is not of score_evidence")
    ranks = json.loads(ranks)
    names = _label_columns(ranks)
    table = read_parquet(path, [*_TEXTS, *names, "text", *ABOUT, "share", *MEASURES])
    own = table.filter(pc.is_null(table["text"]))
    numbers = np.stack([own[name].to_numpy().astype(np.int64) for name in names], 1)
    kinds = kinds_of(table.schema.field(name).type for name in names[::2])
    measures = table.filter(pc.is_valid(table["text"]))
    return EvidenceValues(
        ranks, kinds, own.select(_TEXTS).to_pandas(), numbers[:, ::2], numbers[:, 1::2],
        measures.select([*ABOUT, "text", "share", *MEASURES]).to_pandas(),
    )  # fmt: skip


def _label_columns(ranks: Sequence[str]) -> list[str]:
    return [column(choice, rank) for rank in ranks for choice in ("labels", "predicted")]


def _levels(values: EvidenceValues) -> str:
    pairs = zip(values.ranks, values.kinds, strict=True)
    return ", ".join(f"{rank} ({kind.name})" for rank, kind in pairs)


def _tell_of_windows(
    file: TokenFile, texts: pd.DataFrame, joined: WholeTexts, said: np.ndarray, answer: np.ndarray
) -> None:
    """Log what became of windows; said: the classes of each; answer: those of each text."""
    several = texts["windows"] > 1
    if several.any():
        apart = ~joined.every((said == answer[joined.of]).all(1))
        log.info(
            "%s: %s windows of %s count as one sequence each; in %s the classifier does not say the same"
            " of all windows, and that of most tokens counts",
            file.path,
            f"{int(texts['windows'][several].sum()):,}",
            counted(int(several.sum()), "sequence"),
            f"{int(apart.sum()):,}",
        )
    if (lacking := texts["missing"] > 0).any():
        log.warning(
            "%s: of %s, %s of the windows are not among the compared ones: only the others count"
            " (attributions.sequences)",
            file.path,
            counted(int(lacking.sum()), "sequence"),
            f"{int(texts['missing'].sum()):,}",
        )


def _hard(prefix: str, chosen: np.ndarray, truth: np.ndarray, content: np.ndarray) -> dict:
    return {
        f"{prefix}token_f1": token_f1(chosen, truth, content),
        f"{prefix}iou_f1": iou_f1(chosen, truth, content),
    }


def _variants(
    made: Attributions, joined: WholeTexts, content: np.ndarray, keys: np.ndarray, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    scores = joined.put(made.scores[COMBINED])
    yield "none", scores
    for name, control in CONTROLS.items():
        yield name, control(scores, content, keys, seed)
    for other in OTHERS:
        yield f"{other}_class", joined.put(made.scores[other])


def _right(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Of which sequences all known classes are named, bool (n,); not where none is known."""
    known = labels != UNCOUNTED
    return ((labels == predicted) | ~known).all(1) & known.any(1)


def _warn_of_lost(file: TokenFile, planted: pd.DataFrame, usable: np.ndarray) -> None:
    """Count the evidence that lies behind the last token that the model reads of a sequence.

    Of sequences that were divided nothing is lost: each window has its part.
    """
    own = planted_in(file, planted)
    last = file.spans(np.arange(len(file)))[1].max(1, initial=0)
    rows = own["row"].to_numpy()
    whole = file.ids.take(pa.array(rows)).to_numpy() == own["id"].to_numpy()
    lost = whole & usable[rows] & (own["start"].to_numpy() >= last[rows])
    if lost.any():
        log.warning(
            "%s: %s of %s lie behind the tokens that the model reads of their sequences, and do not count"
            " (sequences.longer: window keeps them)",
            file.path,
            f"{int(lost.sum()):,}",
            counted(len(own), "piece") + " of evidence",
        )
