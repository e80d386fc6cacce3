"""Lineages from a dump of the NCBI taxonomy, answered by ETE 3.

ETE keeps every node as a tree object, which takes several gigabytes for the whole taxonomy. This
module reads the dump itself and gives ETE only the lineages that the data need.
"""

import contextlib
import io
import sqlite3
import tarfile
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from whatyouread.data import archives
from whatyouread.data.ranks import check_order, check_ranks, nodes_of_rank, several_classes
from whatyouread.support.cli import UserError, log

ROOT = 1
NO_TAXID = 0
UNKNOWN, DELETED = "unknown taxid", "deleted taxid"
_RANK = pa.dictionary(pa.int32(), pa.string())
_MEMBERS = ("nodes.dmp", "names.dmp", "merged.dmp", "delnodes.dmp")


class Taxdump(NamedTuple):
    """A dump without its names.

    taxids: int64 (nodes,), ascending. parents: int64 (nodes,). ranks: dictionary-encoded strings
    (nodes,). merged: int64 (n, 2), old and new taxid, ascending by old. deleted: int64 (m,),
    ascending. path: the folder it was read from.
    """

    taxids: np.ndarray
    parents: np.ndarray
    ranks: pa.DictionaryArray
    merged: np.ndarray
    deleted: np.ndarray
    path: Path


def read_taxdump(path: Path) -> Taxdump:
    """Read nodes.dmp, merged.dmp and delnodes.dmp of a dump (zip, tar.gz or folder of .dmp files).

    merged.dmp and delnodes.dmp may be missing. Raises `UserError` where another file is missing, or
    where one is cut short or of another format. About 15 s and 0.5 GiB for the 2.6 million nodes of
    December 2024.
    """
    members = _dump_members(path)
    for name in _MEMBERS[:2]:
        if name not in members:
            raise UserError(
                f"{path}: there is no {name} in the taxonomy dump; expected NCBI's taxdmp zip,"
                " its taxdump.tar.gz, or a folder with their .dmp files"
            )
    nodes = _read(members["nodes.dmp"], {0: pa.int64(), 2: pa.int64(), 4: _RANK})
    taxids, parents = nodes.column(0).to_numpy(), nodes.column(1).to_numpy()
    order = np.argsort(taxids, kind="stable")
    taxids, parents = taxids[order], parents[order]
    twice = taxids[1:][taxids[1:] == taxids[:-1]]
    if len(twice):
        raise UserError(f"{members['nodes.dmp'].name}: the taxid {twice[0]} is there twice")
    ranks = nodes.column(2).combine_chunks().take(pa.array(order))
    merged = np.zeros((0, 2), np.int64)
    if "merged.dmp" in members:
        table = _read(members["merged.dmp"], {0: pa.int64(), 2: pa.int64()})
        merged = np.stack([table.column(0).to_numpy(), table.column(1).to_numpy()], axis=1)
        merged = np.unique(merged, axis=0)
        twice = merged[1:, 0][merged[1:, 0] == merged[:-1, 0]]
        if len(twice):
            name = members["merged.dmp"].name
            raise UserError(f"{name}: the taxid {twice[0]} is merged into two others")
    deleted = np.zeros(0, np.int64)
    if "delnodes.dmp" in members:
        deleted = np.sort(_read(members["delnodes.dmp"], {0: pa.int64()}).column(0).to_numpy())
    log.info(
        "%s: %s nodes, %s merged and %s deleted taxids",
        path,
        *(f"{len(part):,}" for part in (taxids, merged, deleted)),
    )
    return Taxdump(taxids, parents, ranks, merged, deleted, Path(path))


def lineages(
    dump: Taxdump, taxids: np.ndarray, ranks: Sequence[str], exclude_twice: bool = False
) -> pd.DataFrame:
    """The lineage of every taxid: a frame with one row per taxid, in the given order.

    ranks: from the highest to the lowest. Columns: `taxid`; `resolved_taxid` (after merged.dmp);
    `problem` ("", "unknown taxid", "deleted taxid", "rank R twice: NAME > NAME"); and for each of
    `ranks` its name (str, "" where the lineage has none) and `<rank>_taxid`. A missing taxid is 0.

    `superkingdom`, `domain` and `acellular root` stand for one another, because NCBI renamed the top
    rank in 2025: a lineage gives the rank that is asked for, and only where it lacks it one of the
    others, unless that is itself among `ranks`.

    A lineage that holds two classes of one rank (SILVA: Eukaryota and, below it, Holozoa) belongs to
    both. No rule can tell which one is meant, and a dump has such a rank all over or not at all.
    Therefore it is an error, and only with `exclude_twice` a problem of its taxids.

    Raises `UserError` for a rank that the dump or these lineages do not have, for `no rank` and
    `clade`, for ranks in another order than that of the lineages, and for a broken dump: a parent that
    is not there, a lineage that does not end at the root, a node without a scientific name.
    """
    check_ranks(ranks, set(dump.ranks.dictionary.to_pylist()), dump.path)
    taxids = np.asarray(taxids, np.int64)
    resolved, problems = _resolve(dump, taxids)
    found = resolved != NO_TAXID
    frame = pd.DataFrame({"taxid": taxids, "resolved_taxid": resolved, "problem": problems})
    nodes = _with_ancestors(dump, np.unique(resolved[found]))
    names = _scientific_names(dump, dump.taxids[nodes])
    moved = found & (resolved != taxids)
    asked = _ask_ete(dump, nodes, names, np.stack([taxids[moved], resolved[moved]], axis=1))
    asked = asked[asked["taxid"].isin(resolved)]
    asked = asked.assign(depth=asked.groupby("taxid", sort=False).cumcount())
    of_ranks = {}
    for rank in ranks:
        of_rank = nodes_of_rank(asked, rank, ranks)
        if found.any() and of_rank.empty:
            known = ", ".join(sorted(set(asked["rank"])))
            raise UserError(f"no lineage has the rank '{rank}'; the ranks there are: {known}")
        # a class of a rank below another one may also stand in a lineage by another rank's name
        classes = asked[asked["node"].isin(of_rank["node"])]
        twice = classes[classes["taxid"].duplicated(keep=False)]
        if len(twice) and not exclude_twice:
            raise UserError(f"{dump.path}: {several_classes(rank, twice)}")
        if len(twice):
            classes_of = twice.groupby("taxid")["name"].agg(" > ".join)
            own = frame["resolved_taxid"].isin(classes_of.index) & (frame["problem"] == "")
            found_twice = frame.loc[own, "resolved_taxid"].map(classes_of)
            frame.loc[own, "problem"] = f"rank {rank} twice: " + found_twice
        of_rank = of_rank[~of_rank["taxid"].isin(twice["taxid"])].set_index("taxid")
        of_ranks[rank] = of_rank
        at = frame["resolved_taxid"]
        frame[rank] = of_rank["name"].reindex(at, fill_value="").to_numpy()
        frame[f"{rank}_taxid"] = of_rank["node"].reindex(at, fill_value=NO_TAXID).to_numpy()
    check_order(of_ranks, dump.path)
    return frame


def _dump_members(path: Path) -> dict:
    """The members to read, by their name without folders."""
    found = {}
    for member in archives.members(path):
        base = member.name.rsplit("/", 1)[-1]
        if base in found:
            raise UserError(f"{path}: {base} is there twice, {found[base].name} and {member.name}")
        if base in _MEMBERS:
            found[base] = member
    return found


def _open_csv(stream, columns: dict[int, pa.DataType]) -> pa.csv.CSVStreamingReader:
    """A reader of a .dmp file, whose fields end in "\\t|\\t" and whose lines end in "\\t|"."""
    return pa.csv.open_csv(
        stream,
        read_options=pa.csv.ReadOptions(autogenerate_column_names=True, block_size=8 << 20),
        parse_options=pa.csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False),
        convert_options=pa.csv.ConvertOptions(
            column_types={f"f{index}": kind for index, kind in columns.items()},
            include_columns=[f"f{index}" for index in columns],
            null_values=[],
            strings_can_be_null=False,
        ),
    )


def _batches(member, columns: dict[int, pa.DataType]):
    """Yield the record batches of a .dmp file; nothing for an empty file."""
    with member.open() as stream:
        if not stream.peek(1):
            return
        try:
            yield from _open_csv(stream, columns)
        except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
            raise UserError(
                f"{member.name} is cut short or not in NCBI's format: {error}; download it again"
            ) from None


def _read(member, columns: dict[int, pa.DataType]) -> pa.Table:
    schema = pa.schema([(f"f{index}", kind) for index, kind in columns.items()])
    return pa.Table.from_batches(_batches(member, columns), schema).unify_dictionaries()


def _resolve(dump: Taxdump, taxids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The taxid after merging (0: none) and the problem ("", unknown, deleted), (n,) each."""
    resolved = taxids.copy()
    # Today's dumps list each merge with its final taxid; older ones have chains. Each step follows
    # one link.
    for _ in range(100):
        old = ~_is_in(resolved, dump.taxids) & _is_in(resolved, dump.merged[:, 0])
        if not old.any():
            break
        resolved[old] = dump.merged[np.searchsorted(dump.merged[:, 0], resolved[old]), 1]
    known = _is_in(resolved, dump.taxids)
    deleted = _is_in(resolved, dump.deleted)
    problems = np.where(known, "", np.where(deleted, DELETED, UNKNOWN)).astype(object)
    return np.where(known, resolved, NO_TAXID), problems


def _is_in(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    if len(ordered) == 0:
        return np.zeros(len(values), bool)
    return ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values


def _with_ancestors(dump: Taxdump, taxids: np.ndarray) -> np.ndarray:
    """Positions in `dump.taxids` of the nodes and of all their ancestors, ascending."""
    where = f"{dump.path}: nodes.dmp"
    reached = np.zeros(len(dump.taxids), bool)
    front = np.searchsorted(dump.taxids, taxids)
    while len(front):
        reached[front] = True
        parents = dump.parents[front]
        missing = ~_is_in(parents, dump.taxids)
        if missing.any():
            child = dump.taxids[front[missing][0]]
            raise UserError(
                f"{where}: {parents[missing][0]}, the parent of {child}, is not there;"
                " the dump is cut short or damaged"
            )
        front = np.unique(np.searchsorted(dump.taxids, parents))
        front = front[~reached[front]]
    nodes = np.flatnonzero(reached)
    # Pointer doubling: after k rounds every node points to its ancestor 2^k steps up, the root to itself.
    up = np.searchsorted(dump.taxids[nodes], dump.parents[nodes])
    for _ in range(len(nodes).bit_length()):
        up = up[up]
    rootless = dump.taxids[nodes[up]] != ROOT
    # a node on a cycle through the root would end there too, so the root must be its own parent
    rootless |= (dump.taxids[nodes] == ROOT) & (dump.parents[nodes] != ROOT)
    if rootless.any():
        raise UserError(
            f"{where}: the lineage of {dump.taxids[nodes][rootless][0]} does not end at the root,"
            f" taxid {ROOT} (a cycle); the dump is damaged"
        )
    return nodes


def _scientific_names(dump: Taxdump, taxids: np.ndarray) -> list[str]:
    """The scientific names of the taxids (ascending), read from names.dmp."""
    wanted = pa.array(taxids)
    names: dict[int, str] = {}
    member = _dump_members(dump.path)["names.dmp"]
    for batch in _batches(member, {0: pa.int64(), 2: pa.binary(), 6: pa.string()}):
        batch = batch.filter(pc.is_in(batch.column(0), wanted))
        batch = batch.filter(pc.equal(batch.column(2), "scientific name"))
        texts = (name.decode("utf-8", "replace") for name in batch.column(1).to_pylist())
        for taxid, name in zip(batch.column(0).to_pylist(), texts, strict=True):
            if names.setdefault(taxid, name) != name:
                raise UserError(f"{member.name}: the taxid {taxid} has two scientific names")
    nameless = [str(taxid) for taxid in taxids.tolist() if not names.get(taxid, "").strip()]
    if nameless:
        raise UserError(
            f"{member.name}: no scientific name for taxid {', '.join(nameless[:20])};"
            " the dump is cut short or damaged"
        )
    return [names[taxid] for taxid in taxids.tolist()]


def _ask_ete(dump: Taxdump, nodes: np.ndarray, names: list[str], moved: np.ndarray) -> pd.DataFrame:
    """ETE's lineages of the `nodes`, long: `taxid`, `node`, `rank`, `name`, from the root down.

    moved: int64 (n, 2), old and new taxid. Raises `UserError` where ETE resolves one differently.
    """
    if len(nodes) == 0:
        nothing = pd.DataFrame(columns=["taxid", "node", "rank", "name"], dtype=str)
        return nothing.astype({"taxid": np.int64, "node": np.int64})
    taxids = dump.taxids[nodes].tolist()
    ranks = dump.ranks.take(pa.array(nodes)).to_pylist()
    node_lines = zip(taxids, dump.parents[nodes].tolist(), ranks, strict=True)
    # ETE splits lines at every "|", also within a name
    name_lines = (
        (taxid, name.replace("|", "/"), "", "scientific name")
        for taxid, name in zip(taxids, names, strict=True)
    )
    with tempfile.TemporaryDirectory(prefix="taxonomy-") as scratch:
        archive = Path(scratch, "taxdump.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            _add_dump(tar, "nodes.dmp", node_lines)
            _add_dump(tar, "names.dmp", name_lines)
            _add_dump(tar, "merged.dmp", moved.tolist())
        # ETE writes its tables into the working directory and prints its progress
        with (
            contextlib.chdir(scratch),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            from ete3 import NCBITaxa

            try:
                ete = NCBITaxa(dbfile=str(Path(scratch, "taxa.sqlite")), taxdump_file=str(archive))
            except sqlite3.Error as error:
                raise UserError(f"{scratch}: no room for a small database ({error})") from None
            try:
                answers = [
                    (
                        ete.get_lineage_translator(part),
                        ete.get_rank(part),
                        ete.get_taxid_translator(part),
                    )
                    for part in _parts(taxids)
                ]
                resolved = [ete.get_lineage(old)[-1] for old in moved[:, 0].tolist()]
            finally:
                ete.db.close()
    if resolved != moved[:, 1].tolist():
        raise UserError(
            f"{dump.path}: ETE and merged.dmp disagree on a taxid: is the dump damaged?"
        )
    lineage, rank, name = ({k: v for a in answers for k, v in a[i].items()} for i in range(3))
    long = pd.DataFrame({"taxid": lineage.keys(), "node": lineage.values()}).explode("node")
    long["node"] = long["node"].astype(np.int64)
    return long.assign(rank=long["node"].map(rank), name=long["node"].map(name))


def _parts(taxids: list[int], size: int = 10_000) -> list[list[int]]:
    """Pieces that suit ETE, which writes all taxids of a call into one SQL statement."""
    return [taxids[start : start + size] for start in range(0, len(taxids), size)]


def _add_dump(tar: tarfile.TarFile, name: str, lines) -> None:
    text = "".join("\t|\t".join(map(str, line)) + "\t|\n" for line in lines).encode()
    info = tarfile.TarInfo(name)
    info.size = len(text)
    tar.addfile(info, io.BytesIO(text))
