"""Inputs that the tests of training share and do not change."""

import pytest
from helpers_evaluation import random_file
from helpers_training import make_inputs


@pytest.fixture(scope="session")
def eight(tmp_path_factory):
    """A token file of eight sequences."""
    return random_file(tmp_path_factory.mktemp("eight") / "t.arrow", 8)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """What both training programs read."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))
