"""The label sources by the names that the configuration gives them."""

from whatyouread.data.label_source import LabelSource
from whatyouread.data.lineage_labels import LineageLabels
from whatyouread.data.ncbi_labels import NcbiLabels
from whatyouread.data.no_labels import NoLabels
from whatyouread.data.record_labels import RecordLabels
from whatyouread.data.table_labels import TableLabels
from whatyouread.support.cli import UserError

LABEL_SOURCES: dict[str, type[LabelSource]] = {
    "ncbi": NcbiLabels,
    "table": TableLabels,
    "lineage": LineageLabels,
    "record": RecordLabels,
    "none": NoLabels,
}


def find_label_source(name: str) -> type[LabelSource]:
    """The label source of that name. Raises UserError where there is none."""
    if name not in LABEL_SOURCES:
        raise UserError(f"there is no label source {name!r}, only {', '.join(LABEL_SOURCES)}")
    return LABEL_SOURCES[name]
