import pandas as pd
import pytest

from whatyouread.data.levels import (
    Level,
    choose_levels,
    class_counts,
    class_names,
    read_classes,
    read_levels,
)
from whatyouread.support.cli import UserError

HEADER = "rank\tclass\ttaxid\tname\tsequences\n"


@pytest.fixture
def table(tmp_path):
    def write(text: str):
        path = tmp_path / "classes.tsv"
        path.write_text(text)
        return path

    return write


def test_classes_in_the_order_of_the_table(table):
    path = table(
        HEADER + "superkingdom\t0\t2\tBacteria\t9\nsuperkingdom\t1\t2157\tArchaea\t4\n"
        "genus\t0\t561\tEscherichia\t3\ngenus\t1\t10\tNA\t3\ngenus\t2\t11\tnull\t7\n"
    )
    assert list(class_counts(path).items()) == [("superkingdom", 2), ("genus", 3)]
    assert all(type(n) is int for n in class_counts(path).values())
    frame = read_classes(path)
    # names that pandas would take for missing values stay names
    assert frame["name"].tolist() == ["Bacteria", "Archaea", "Escherichia", "NA", "null"]
    assert frame["taxid"].tolist() == [2, 2157, 561, 10, 11]
    assert read_levels(path) == {
        "superkingdom": Level("superkingdom", "taxid", ("2", "2157"), ("Bacteria", "Archaea")),
        "genus": Level("genus", "taxid", ("561", "10", "11"), ("Escherichia", "NA", "null")),
    }
    assert class_names(path, ["genus"]) == {"genus": ["Escherichia", "NA", "null"]}
    assert [level.name for level in choose_levels(path, ["genus", "superkingdom"])] == [
        "genus",
        "superkingdom",
    ]


def test_any_column_may_tell_classes_apart_and_names_may_be_odd(table, tmp_path):
    rows = [("topic", 0, "01", 'a "b"', 3), ("topic", 1, "1", "a\u00e9, c'", 4)]
    frame = pd.DataFrame(rows, columns=["rank", "class", "key", "name", "sequences"])
    frame.to_csv(tmp_path / "classes.tsv", sep="\t", index=False)
    [level] = read_levels(tmp_path / "classes.tsv").values()
    assert level == Level("topic", "key", ("01", "1"), ('a "b"', "a\u00e9, c'"), "single")


def test_the_kind_of_a_level(table):
    header = "rank\tclass\tkey\tname\tkind\n"
    levels = read_levels(table(header + "a\t0\tx\tX\tsingle\nb\t0\tx\tX\tsingle\n"))
    assert [level.kind for level in levels.values()] == ["single", "single"]
    for rows in ("a\t0\tx\tX\tsingle\na\t1\ty\tY\tmultiple\n", "a\t0\tx\tX\tnone\n"):
        with pytest.raises(UserError, match="the kind of a is"):
            read_levels(table(header + rows))


def test_a_level_that_is_not_there(table):
    path = table(HEADER + "genus\t0\t1\ta\t1\n")
    with pytest.raises(UserError, match=r"classes\.tsv has no classes of the level phylum"):
        choose_levels(path, ["genus", "phylum"])
    with pytest.raises(UserError, match="the level phylum"):
        class_names(path, ["phylum"])


@pytest.mark.parametrize(
    "rows",
    ["genus\t1\t1\ta\t1\n", "genus\t0\t1\ta\t1\ngenus\t0\t2\tb\t1\n", "genus\tx\t1\ta\t1\n",
     "genus\t1\t1\ta\t1\ngenus\t0\t2\tb\t1\n"],
)  # fmt: skip
def test_classes_that_are_not_counted_from_0(table, rows):
    with pytest.raises(UserError, match=r"classes\.tsv: the classes of genus are not numbered"):
        read_classes(table(HEADER + rows))


@pytest.mark.parametrize(
    "text",
    [
        *("", "a\tb\n1\t2\n", "rank\tname\ngenus\tx\n", "rank\n1\t2\t3\n4\n"),
        HEADER + "genus\t0\t1\n",
        HEADER + "genus\t0\t1\ta\t1\t2\n",
        HEADER + 'genus\t0\t1\t"a\t1\n',
        HEADER.replace("taxid\t", ""),
        HEADER.replace("taxid\t", "taxid\tkey\t"),
    ],
)
def test_what_is_no_table_of_classes(table, text):
    with pytest.raises(UserError, match=r"classes\.tsv is not a table of classes"):
        read_classes(table(text))


def test_missing(tmp_path):
    with pytest.raises(UserError, match="is not there"):
        class_counts(tmp_path / "classes.tsv")
