"""What several files of these tests use, and in which order whole runs begin."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from helpers_workflow import PROJECT


def pytest_collection_modifyitems(items):
    """Files of whole runs first, those with most tests in front: xdist gives out files, short ones last."""
    here = Path(__file__).parent
    slow = Counter(
        item.path for item in items if item.path.parent == here and item.get_closest_marker("slow")
    )
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture
def papers_folder(tmp_path) -> Path:
    """A folder with the configuration of the paper's run."""
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    return tmp_path
