"""What `steering.md` says of small tables whose numbers are made up."""

import numpy as np
import pandas as pd
import pytest

from whatyouread.evaluate.steering import COMPARED, PERCENTS
from whatyouread.evaluate.steering_table import INDEX, difference_lines, markdown, verdicts

VALUES = {
    "explainer_sharp": {
        "kept": 80, "removed": 30, "removed_by_level": 25, "net_wrong": 75, "net_runner_up": 70,
    },
    "lime": {
        "kept": 90, "removed": 40, "removed_by_level": 28, "net_wrong": 20, "net_runner_up": 70,
    },
}  # fmt: skip
FURTHER = {"fidelity": 0, "accuracy": -9, "log_probability": -99.5}
"""What is added to the values of fidelity."""

DISTANCES = [
    ("kept", "none", 99.4), ("kept", "shifted", 98), ("removed", "none", 60), ("removed", "shifted", 55),
]  # fmt: skip


def small_table(readers=("classifier",)) -> pd.DataFrame:
    """By the judge all numbers are one above those by the classifier."""
    rows = []
    for i, reader in enumerate(readers):
        for yardstick, further in FURTHER.items():
            for method, values in VALUES.items():
                about = [method, reader, yardstick]
                rows.append([*about, "whole", "none", 100, 98 + further - 2 * i])
                for percent in PERCENTS:
                    for measure, value in values.items():
                        shifted = [("shifted", 50)] if measure in ("kept", "removed") else []
                        for control, number in (("none", value + (percent == 30)), *shifted):
                            row = [*about, measure, control, percent, number + further + i]
                            rows.append(row)
                    for other in ("wrong", "runner_up"):
                        rows.append([*about, f"steered_{other}", "none", percent, 5 + i])
    for method in VALUES:
        for measure, value in (("leakage", 11), ("unordered", 12), ("learned_along", 13)):
            rows.append([method, "none", "accuracy", measure, "none", 10, value])
            rows.append([method, "none", "accuracy", measure, "chance", 10, 10])
    table = pd.DataFrame(rows, columns=[*INDEX[:-1], "value"]).assign(rank="genus")
    rows = [
        [method, reader, "distribution", f"distance_{measure}", control, 10, value - 20 * i, "all"]
        for i, reader in enumerate(readers)
        for method in VALUES
        for measure, control, value in DISTANCES
    ]
    distances = pd.DataFrame(rows, columns=[*INDEX[:-1], "value", "rank"])
    return pd.concat([table, distances], ignore_index=True).assign(n=40)


def differences(readers=("classifier",)) -> pd.DataFrame:
    rows = [
        ["explainer_sharp", "lime", reader, measure, "genus", 10.0 * i, 10 * i - 4, 10 * i + 4]
        for reader in readers
        for i, measure in enumerate(COMPARED)
    ]
    names = ["explainer", "rival", "reader", "measure", "rank", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def said(table: pd.DataFrame, explainers=("explainer_sharp",)) -> list[str]:
    return verdicts(table.set_index(INDEX)["value"].sort_index(), explainers, ["genus"])[-8:]


def test_fidelity_leads_and_accuracy_follows():
    text = markdown(small_table(), differences(), ["explainer_sharp"])
    rows = [line for line in text.splitlines() if line.startswith("| explainer sharp")]
    assert rows == [
        "| explainer sharp | 80 | 50 | 75 | 70 | 30 | 50 | 25 |",
        "| explainer sharp | lime | +0 (-4 to +4) | +10 (+6 to +14) | +20 (+16 to +24) | +30 (+26 to +34) |",
        "| explainer sharp | -19.50 | -49.50 | -69.50 | -49.50 | -74.50 |",
        "| explainer sharp | 71 | 41 | 66 | 61 | 21 | 41 | 16 |",
        "| explainer sharp | 5 | 5 | 11 | 12 | 13 |",
        "| explainer sharp | 99 | 98 | 60 | 55 |",
    ]
    for words in ("chance is 10.", "Whole sequences, per cent: the classifier 89."):
        assert words in " ".join(text.split())
    assert "judge" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 108


def test_the_judge_stands_beside_the_classifier():
    readers = ("classifier", "judge")
    text = markdown(small_table(readers), differences(readers), ["explainer_sharp"])
    assert (
        "| explainer sharp | 80 | 81 | 50 | 51 | 75 | 76 | 70 | 71 | 30 | 31 | 50 | 51 | 25 | 26 |"
        in text
    )
    assert "| explainer sharp | lime | judge | +0 (-4 to +4) | +10 (+6 to +14) |" in text
    words = " ".join(text.split())
    assert "of the whole sequences it says what the classifier says in 96 %" in words
    assert "the classifier 89, the judge 87." in words
    assert "- explainer sharp, removed, judge: none." in text
    assert "There are 8; 6 of their intervals leave 0 out" in words
    assert "| explainer sharp | 99 | 79 | 98 | 78 | 60 | 40 | 55 | 35 |" in text
    assert "The judge has states of its own" in words


def test_a_rank_may_be_called_like_the_distances_of_all_ranks():
    table = small_table()
    table["rank"] = table["rank"].replace("genus", "all")
    text = markdown(table, differences().assign(rank="all"), ["explainer_sharp"])
    assert "| explainer sharp | 80 | 50 | 75 | 70 | 30 | 50 | 25 |" in text
    assert "| explainer sharp | 99 | 98 | 60 | 55 |" in text


def test_with_one_rank_there_is_no_other_way_to_remove():
    one, without = small_table(), differences()
    one = one[one["measure"] != "removed_by_level"]
    without = without[without["measure"] != "removed_by_level"]
    text = markdown(one, without, ["explainer_sharp"])
    assert "| explainer sharp | 80 | 50 | 75 | 70 | 30 | 50 |\n" in text
    assert "level" not in text.split("## Change")[0].lower().replace("levels", "")


def test_the_text_says_which_methods_are_ahead_of_an_explainer():
    table = small_table()
    ahead = (table["method"] == "lime") & (table["measure"] == "removed") & (table["percent"] > 5)
    table.loc[ahead & (table["control"] == "none"), "value"] -= 25
    accuracy = (table["method"] == "lime") & (table["yardstick"] == "accuracy")
    table.loc[accuracy & table["measure"].str.startswith("net"), "value"] += (
        100  # says nothing here
    )
    assert said(table)[-4:] == [
        "- explainer sharp, net, random class: none.",
        "- explainer sharp, net, runner-up: none.",
        "- explainer sharp, removed: lime (3 of 4, by 15.0).",
        "- explainer sharp, removed, level by level: none.",
    ]


def test_each_reader_has_its_own_verdict():
    table = small_table(("classifier", "judge"))
    here = (table["method"] == "lime") & (table["measure"] == "net_wrong")
    table.loc[here & (table["reader"] == "judge"), "value"] += 65
    assert said(table)[:2] == [
        "- explainer sharp, net, random class, classifier: none.",
        "- explainer sharp, net, random class, judge: lime (4 of 4, by 10.0).",
    ]


def test_explainers_are_set_against_one_another_too():
    assert said(small_table(), ["explainer_sharp", "lime"]) == [
        "- explainer sharp, net, random class: none.",
        "- explainer sharp, net, runner-up: none.",
        "- explainer sharp, removed: none.",
        "- explainer sharp, removed, level by level: none.",
        "- lime, net, random class: explainer sharp (4 of 4, by 55.0).",
        "- lime, net, runner-up: none.",
        "- lime, removed: explainer sharp (4 of 4, by 10.0).",
        "- lime, removed, level by level: explainer sharp (4 of 4, by 3.0).",
    ]


@pytest.mark.parametrize("method", ["lime", "explainer_sharp"])
@pytest.mark.parametrize("undefined", [1, 2, 3])
def test_points_without_a_number_are_in_no_number(method, undefined):
    """Where no class is wrong, there is nothing to be ahead in, nor to be level in."""
    table = small_table()
    here = (table["measure"] == "net_wrong") & (table["method"] == method)
    table.loc[here & table["percent"].isin(PERCENTS[:undefined]), "value"] = np.nan
    lines = "\n".join(said(table))
    assert f"net, random class: none (of {4 - undefined} points)." in lines
    assert "net, runner-up: none." in lines
    table.loc[(table["measure"] == "net_wrong") & (table["method"] == "lime"), "value"] += 70
    left = 4 - undefined
    assert f"net, random class: lime ({left} of {left}, by 15.0)." in "\n".join(said(table))


def test_without_any_number_nothing_is_said():
    table, missing = small_table(), differences()
    table.loc[table["measure"].str.contains("wrong"), "value"] = np.nan
    missing.loc[missing["measure"] == "net_wrong", ["difference", "low", "high"]] = np.nan
    text = markdown(table, missing, ["explainer_sharp"])
    assert "net, random class: no point has a number." in text
    assert "| explainer sharp | 80 | 50 | - | 70 | 30 | 50 | 25 |" in text
    assert "| explainer sharp | lime | - | +10 (+6 to +14) |" in text
    assert "There are 3; 3 of their intervals" in " ".join(text.split())


def test_without_other_methods_there_are_no_differences():
    assert list(difference_lines(differences().iloc[:0], ["genus"])) == []


def test_of_many_pairs_the_closest_are_shown():
    rows = [
        [
            "explainer_sharp",
            f"method_{i}",
            "classifier",
            measure,
            "genus",
            float(i),
            i - 1.0,
            i + 1.0,
        ]
        for i in reversed(range(60))
        for measure in COMPARED
    ]
    lines = list(difference_lines(pd.DataFrame(rows, columns=differences().columns), ["genus"]))
    shown = [line.split(" | ")[1] for line in lines if line.startswith("| explainer sharp")]
    assert shown == [f"method {i}" for i in reversed(range(24))]
    words = " ".join(lines)
    assert "There are 240; 232 of their intervals leave 0 out" in words
    assert "Of 60 pairs, these 24 are the closest" in words


def test_of_many_methods_ahead_three_are_named():
    table = small_table()
    lime = table[table["method"] == "lime"]
    more = [lime.assign(method=f"lime_{i}", value=lime["value"] + i) for i in range(4)]
    lines = verdicts(
        pd.concat([table, *more]).set_index(INDEX)["value"].sort_index(), ["lime"], ["genus"]
    )
    assert lines[-3] == (
        "- lime, net, runner-up: lime 3 (4 of 4, by 3.0), lime 2 (4 of 4, by 2.0), lime 1 (4 of 4, by 1.0)."
    )
    named = verdicts(
        pd.concat([table, *more, lime.assign(method="lime_9", value=lime["value"] + 9)])
        .set_index(INDEX)["value"]
        .sort_index(),
        ["lime"],
        ["genus"],
    )
    assert named[-3].endswith("lime 2 (4 of 4, by 2.0), 1 more.")
