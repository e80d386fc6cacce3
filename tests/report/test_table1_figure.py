"""What is taken from the tables for the figure of Table 1."""

import pandas as pd

from whatyouread.report.table1_figure import control_values, table_of


def test_values_of_controls():
    table = pd.DataFrame(
        {
            "classes": ["labels", "labels", "predicted", "predicted"],
            "control": ["shuffled", "shuffled", "shuffled", "none"],
            "condition": ["masks", "rounded_masks", "masks", "masks"],
            "genus": [1.0, 2, 3, 4],
        }
    )
    assert control_values(table, "labels", "masks", "genus").tolist() == [1]
    assert control_values(table, "predicted", "masks", "genus").tolist() == [3]


def test_rows_of_another_choice_keep_the_papers_values():
    table = pd.DataFrame({"condition": ["masks"], "genus": [1.0], "paper_genus": [9.0]})
    controls = pd.DataFrame(
        {
            "classes": ["labels", "predicted", "predicted"],
            "control": ["shifted", "shifted", "none"],
            "condition": ["masks"] * 3,
            "genus": [2.0, 3, 4],
        }
    )
    assert table_of(table, controls, "labels") is table
    made = table_of(table, controls, "predicted")
    assert made[["condition", "genus", "paper_genus"]].values.tolist() == [["masks", 4, 9]]
