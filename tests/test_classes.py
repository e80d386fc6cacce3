import pytest

from whatyouread.classes import class_counts, read_classes
from whatyouread.cli import UserError

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


@pytest.mark.parametrize(
    "rows",
    ["genus\t1\t1\ta\t1\n", "genus\t0\t1\ta\t1\ngenus\t0\t2\tb\t1\n", "genus\tx\t1\ta\t1\n",
     "genus\t1\t1\ta\t1\ngenus\t0\t2\tb\t1\n"],
)  # fmt: skip
def test_classes_that_are_not_counted_from_0(table, rows):
    with pytest.raises(UserError, match=r"classes\.tsv: the classes of genus are not numbered"):
        read_classes(table(HEADER + rows))


@pytest.mark.parametrize(
    "text", ["", "a\tb\n1\t2\n", "rank\tname\ngenus\tx\n", "rank\n1\t2\t3\n4\n"]
)
def test_what_is_no_table_of_classes(table, text):
    with pytest.raises(UserError, match=r"classes\.tsv is not a table of classes"):
        read_classes(table(text))


def test_missing(tmp_path):
    with pytest.raises(UserError, match="is not there"):
        class_counts(tmp_path / "classes.tsv")
