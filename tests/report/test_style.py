"""How figures look and are written."""

import pytest

from whatyouread.report.style import (
    BLACK,
    EXPLAINER_COLOURS,
    PALETTE,
    VERMILION,
    method_looks,
    new_figure,
    save,
)
from whatyouread.support.cli import UserError


def test_save_refuses_other_formats(tmp_path):
    with pytest.raises(UserError, match=r"\.svg or \.png"):
        save(new_figure(1, 1), [tmp_path / "a.pdf"])
    assert not list(tmp_path.iterdir())


def test_explainers_are_bold_and_no_two_methods_look_alike():
    others = [f"method_{i}" for i in range(10)]
    for number in (1, 2, 3):
        explainers = [f"explainer_{i}" for i in range(number)]
        looks = method_looks([*others, "random", *explainers], explainers)
        colours = [looks[name]["color"] for name in explainers]
        assert colours == list(EXPLAINER_COLOURS[:number])
        assert all(looks[name]["lw"] > 2 for name in explainers)
        assert not {BLACK, VERMILION} & {looks[name]["color"] for name in others}
        assert len({(look["color"], look["ls"]) for look in looks.values()}) == len(looks)
        assert looks["random"]["ls"] == ":"


def test_more_explainers_than_colours():
    explainers = [f"explainer_{i}" for i in range(len(EXPLAINER_COLOURS) + 1)]
    looks = method_looks(["lime", *explainers], explainers)
    assert looks[explainers[0]]["color"] == looks[explainers[-1]]["color"]
    assert looks[explainers[0]]["ls"] != looks[explainers[-1]]["ls"]
    assert looks["lime"]["color"] in PALETTE


def test_an_unknown_explainer_is_named():
    with pytest.raises(UserError, match=r"explainer_x is not among the methods \(lime, random\)"):
        method_looks(["lime", "random"], ["explainer_x"])
