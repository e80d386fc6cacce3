"""`pip install .` gives the library, and nothing of the workflow."""

import ast
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from whatyouread import __version__

PROJECT = Path(__file__).resolve().parents[1]
SETUPTOOLS = 77  # which reads the licence as it is given in pyproject.toml


def library() -> list[Path]:
    return list((PROJECT / "scripts" / "whatyouread").rglob("*.py"))


def top_level_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of a copy of what it is built from, without the network."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("no setuptools here to build a wheel with")
    if int(version.partition(".")[0]) < SETUPTOOLS:
        pytest.skip(f"setuptools {version} is here, and {SETUPTOOLS} is needed to build a wheel")
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "scripts", folder / "scripts", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", folder / "wheels", folder],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    [made] = (folder / "wheels").glob("*.whl")
    return made


def test_it_holds_every_module_with_its_assets_and_no_program(wheel):
    assert wheel.name == f"whatyouread-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    assets = (PROJECT / "scripts" / "whatyouread" / "report" / "page").iterdir()
    expected = {str(path.relative_to(PROJECT / "scripts")) for path in [*library(), *assets]}
    assert inside == expected


def test_it_can_be_imported_from_elsewhere(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import whatyouread.data.six_mers as m, whatyouread as w; print(w.__version__, m.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [
        __version__, str(tmp_path / "installed" / "whatyouread" / "data" / "six_mers.py"),
    ]  # fmt: skip


def test_it_needs_what_the_library_imports():
    """Third-party packages that the library imports, by the names they are installed under."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    needed = {line.partition(">")[0].partition(";")[0].strip() for line in project["dependencies"]}
    names = {"sklearn": "scikit-learn", "Bio": "biopython"}
    imported = {name for path in library() for name in top_level_imports(path)}
    third_party = {names.get(name, name) for name in imported - sys.stdlib_module_names}
    assert third_party - {"whatyouread"} == needed - {"legacy-cgi", "six"}
