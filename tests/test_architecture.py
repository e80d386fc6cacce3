"""The rooms: imports between packages run one way, and what must start fast imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
LIBRARY = SCRIPTS / "whatyouread"
ORDER = (
    "support", "data", "masks", "models", "explainers", "training", "methods", "evaluate", "classes",
    "explain",
)  # fmt: skip
TOP = ("report", "simulate")
"""Packages that may import all of `ORDER`, and that nobody imports."""
WITHOUT_TORCH = ("support", "data", "masks", "simulate", "report")


def imported(path: Path) -> set[str]:
    """The packages of the library that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            modules = [node.module]
            if node.module == "whatyouread":
                modules = [f"whatyouread.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in modules if name.startswith("whatyouread.")}
    return found


def allowed(package: str) -> set[str]:
    if package in TOP:
        return {package, *ORDER}
    return set(ORDER[: ORDER.index(package) + 1])


def test_every_module_has_a_room():
    packages = {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").is_file()}
    assert packages <= {*ORDER, *TOP}
    assert len(packages) >= 12
    assert [path.name for path in LIBRARY.glob("*.py")] == ["__init__.py"]
    for init in LIBRARY.glob("*/__init__.py"):
        assert init.read_text() == "", init


def test_imports_run_one_way():
    files = sorted(LIBRARY.glob("*/*.py"))
    assert len(files) > 60
    for path in files:
        stray = imported(path) - allowed(path.parent.name)
        assert not stray, f"{path.relative_to(LIBRARY)} imports {', '.join(sorted(stray))}"


@pytest.mark.parametrize(
    ("package", "code", "stray"),
    [
        ("masks", "from whatyouread.models.levels import Single", {"models"}),
        ("masks", "def f():\n    from whatyouread import models", {"models"}),
        ("simulate", "import whatyouread.report.style", {"report"}),
        ("classes", "from whatyouread.explain.tracks import BigWig", {"explain"}),
        ("evaluate", "from whatyouread.report import style", {"report"}),
        ("models", "from whatyouread.masks.choices import THRESHOLD", set()),
    ],
)
def test_a_stray_import_is_found(tmp_path, package, code, stray):
    path = tmp_path / "module.py"
    path.write_text(code, encoding="utf-8")
    assert imported(path) - allowed(package) == stray


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("package", WITHOUT_TORCH)
def test_rooms_without_torch(package):
    names = ", ".join(path.stem for path in (LIBRARY / package).glob("[a-z]*.py"))
    assert "torch" not in modules_after(f"from whatyouread.{package} import {names}")


@pytest.mark.parametrize(
    "program",
    ["generate_masks", "predict_masked", "attribute_tokens", "measure_steering", "score_classes"],
)
def test_programs_that_run_models_start_without_what_they_do_not_need(program):
    found = modules_after(f"import {program}")
    assert "torch" in found
    assert not {"transformers", "torch._dynamo", "captum", "sklearn", "accelerate"} & found


@pytest.mark.parametrize(
    "program", ["download_dataset", "download_taxdump", "download_backbone", "tokenize_sequences"]
)
def test_programs_of_data_start_without_what_they_do_not_need(program):
    assert not {"torch", "transformers", "ete3", "pandas"} & modules_after(f"import {program}")
