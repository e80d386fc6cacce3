"""What all rules have in common, read from their text."""

import hashlib
import re

import pytest
import yaml
from helpers_workflow import PROJECT

FILES = [PROJECT / "workflow" / "Snakefile", *(PROJECT / "workflow" / "rules").glob("*.smk")]
TARGETS = {"all", "demo"}
WITHOUT_PROGRAM = {"copy_table1"}
BY_HAND = {"adopt_classifier", "export_explainer", "pool_evidence"}
"""Programs that no rule runs."""


@pytest.fixture(scope="module")
def blocks() -> dict[str, str]:
    """The text of each rule, by its name."""
    found = {}
    for path in FILES:
        for block in re.split(r"^rule ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            found[block.partition(":")[0]] = block
    return {name: block for name, block in found.items() if name not in TARGETS}


def environment(rule: str) -> str:
    return (PROJECT / "envs" / f"{rule}.yaml").read_text()


def test_one_rule_for_each_kind_of_work(blocks):
    text = "".join(path.read_text(encoding="utf-8") for path in FILES)
    assert not re.findall(r"^\s*(ruleorder|use rule|checkpoint)\b", text, re.MULTILINE)
    assert len(blocks) < 55


def test_every_rule_has_a_program_an_environment_and_a_log_of_its_own(blocks):
    for rule, block in blocks.items():
        assert f'"../../envs/{rule}.yaml"' in block, rule
        assert f"logs/{rule}.log" in block or f"logs/{rule}/" in block, rule
        program = f' "$WHATYOUREAD/scripts/{rule}.py"'
        if rule not in WITHOUT_PROGRAM:
            assert f"'python{program}" in block or f"'{{params.launcher}}{program}" in block, rule
        assert yaml.safe_load(environment(rule))["channels"] == ["conda-forge", "nodefaults"], rule
    assert {path.stem for path in (PROJECT / "envs").glob("*.yaml")} == set(blocks)
    programs = {path.stem for path in (PROJECT / "scripts").glob("*.py")}
    assert programs == (set(blocks) - WITHOUT_PROGRAM) | BY_HAND


def test_environments_have_few_contents(blocks):
    """Conda makes one for each content, and torch is large."""
    contents = {hashlib.sha256(environment(rule).encode()).digest() for rule in blocks}
    assert len(contents) <= 7
    with_torch = {environment(rule): rule for rule in blocks if "torch" in environment(rule)}
    # one of its own, since another package in that of the trainings would train everything again
    assert len(with_torch) == 2
    assert with_torch[environment("explain_sequences")] == "explain_sequences"


def test_conda_packages_are_few_and_where_each_was_confirmed_is_said(blocks):
    """Conda's channels differ from PyPI: what it may lack, or bring with a torch of its own, is pip's."""
    confirmed = {"python =3.11", "pip =26.0", "git =2.49"}
    for rule in blocks:
        text = environment(rule)
        said = False  # a comment above one or several packages
        for line in text.partition("dependencies:\n")[2].splitlines():
            if not line.startswith("  - pip:"):
                said = said or line.startswith("  #")
                assert said, f"{rule}: {line}"
            else:
                break
        for entry in yaml.safe_load(text)["dependencies"]:
            assert isinstance(entry, dict) or entry in confirmed, f"{rule}: {entry}"


def test_pip_packages_have_the_versions_of_make_venv(blocks):
    """So that the tests, which run in .venv, say something of the environments."""
    pinned = (PROJECT / "requirements.txt").read_text().splitlines()
    pinned = {re.sub(r" *==", "==", line).partition(";")[0].lower() for line in pinned}
    whole = {"torch", "transformers", "captum", "safetensors", "huggingface_hub"}
    for rule in blocks:
        entries = yaml.safe_load(environment(rule))["dependencies"]
        packages = [p.lower() for e in entries if isinstance(e, dict) for p in e["pip"]]
        assert {package.replace(" ==", "==") for package in packages} <= pinned, rule
        if "torch" in environment(rule):
            assert whole <= {package.partition(" ")[0] for package in packages}, rule


def test_no_torch_for_data_tables_and_pictures(blocks):
    light = {rule for rule in blocks if rule.startswith(("plot_", "download_"))}
    light |= {"label_taxonomy", "split_dataset", "tokenize_sequences", "resplit_tokens"}
    light |= {
        "find_copies",
        "count_copies",
        "sample_sequences",
        "gather_parts",
        "evaluate_masks",
        "localize_masks",
        "place_positions",
        "score_evidence",
    }
    light |= {
        "write_model_card",
        "explain_classes",
        "summarize_run",
        "render_table",
        "render_keywords",
        "record_run",
        "copy_table1",
    }
    assert light <= set(blocks)
    for rule in light:
        assert "torch" not in environment(rule), rule


def test_make_gives_each_job_one_thread():
    """Without a GPU, small models run best in one thread, several jobs side by side."""
    text = (PROJECT / "Makefile").read_text()
    assert re.search(r"^THREADS = --max-threads 1$", text, re.MULTILINE)
    assert re.search(r"^JOBS = .*\$\(THREADS\)$", text, re.MULTILINE)
