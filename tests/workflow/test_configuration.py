"""What a configuration may hold: every mistake stops at planning, in one line."""

import re

import pytest
import yaml
from helpers_workflow import PROJECT, TINY, complaint, snakemake, write_config


def only(name: str, **settings) -> dict:
    """One Explainer."""
    return {"explainers": {name: settings}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"explainer": {"epoch": 3}}, "config: explainer: .*'epoch'"),
        ({"sed": 3}, "config: .*'sed'"),
        ({"split": {"test": 1.5}}, "config: split.test: 1.5"),
        ({"explanandum": {"epochs": "five"}}, "config: explanandum.epochs: 'five'"),
        ({"explanandum": {"precision": "fp16"}}, "config: explanandum.precision: 'fp16'"),
        ({"backbone": {"repository": "x/y", "revision": "main"}}, "config: backbone: "),
        ({"seed": -1}, "config: seed: -1"),
        ({"parts": 0}, "config: parts: 0"),
        ({"checkpoint_minutes": 0}, "config: checkpoint_minutes: 0"),
        ({"split": {"test": 0.6, "validation": 0.5}}, "leave nothing to train on"),
        ({"explainer": {"gpus": 5}}, "explainers.paper: batch_size 48 is no multiple of gpus 5"),
        ({"explainers": {}}, "config: explainers: "),
        (only("p.1", objective="paper"), "config: explainers: 'p.1'"),
        (only("p", epochs=2), "config: explainers.p: 'objective' is a required"),
        (only("p", objective="paper", min_aera=0.1), "config: explainers.p: .*'min_aera'"),
        (only("p", objective="paper", area=0.1), "config: explainers.p: .*'area'"),
        (only("p", objective="sharp", epoch=1), "config: explainers.p: .*'epoch'"),
        (only("p", objective="sharp", smoothing=2), "config: explainers.p.smoothing: 2"),
        (only("p", objective="new", epochs=0), "config: explainers.p.epochs: 0"),
        (only("p", objective="paper", min_area=0.4, max_area=0.3), "p: min_area is above max_area"),
        ({"attributions": {"methods": {"explainer_paper": {}}}}, "'explainer_paper'"),
        ({"class_explanations": {"sources": ["explainer_shrap"]}}, "there is no explainer_shrap"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, change, expected):
    line = complaint(write_config(tmp_path, TINY | change))
    assert "\n" not in line
    assert re.search(expected, line), line


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"explainer": {"epochs": 1}},
        only("sharp", objective="sharp", epochs=4, area=0.2),
        # the settings of an objective that the schema does not know are left to its program
        only("new", objective="new", anything=[1], epochs=4),
        {"class_explanations": {"sources": ["explainer_sharp"]}},
        {"attributions": {"methods": {}}},
    ],
)
def test_what_is_right_is_no_mistake(tmp_path, change):
    assert complaint(write_config(tmp_path, TINY | change)) == ""


@pytest.mark.parametrize(
    ("change", "now"),
    [
        ({"scatter": 4}, "`parts`"),
        ({"explainer": {"variant": "sharp"}}, "`explainers`"),
        ({"explainer": {"both": False}}, "`explainers`"),
        ({"explainer": {"objective": {"min_area": 0.1}}}, "explainers.paper.min_area"),
        ({"explainer": {"sharp": {"area": 0.2}}}, "explainers.sharp.area"),
        ({"attributions": {"methods": {"explainer": {}}}}, "`explainers`"),
        ({"class_explanations": {"sources": ["explainer"]}}, "`explainer_NAME`"),
    ],
)
def test_a_key_of_an_older_version_names_the_new_one(tmp_path, change, now):
    line = complaint(write_config(tmp_path, TINY | change))
    assert line.startswith("config: ")
    assert now in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "made",
    [
        "explainer/run.json",
        "variants/sharp/table1.tsv",
        "runs/1/explainer/run.json",
        "masks/test.parquet",
        "explanandum/model.safetensors",
    ],
)
def test_results_of_an_older_version_are_left_alone(tmp_path, made):
    path = tmp_path / "results" / made
    path.parent.mkdir(parents=True)
    path.write_text("weeks of work")
    line = complaint(write_config(tmp_path, TINY))
    assert "rename" in line
    assert "\n" not in line
    assert path.read_text() == "weeks of work"


def test_the_command_line_says_it_without_a_traceback(tmp_path):
    done = snakemake(write_config(tmp_path, TINY | {"scatter": 2}), "--dry-run")
    assert done.returncode == 1
    assert "config: scatter is now `parts`" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_defaults_are_the_papers_configuration():
    """config.yaml spells out every default; the two must not drift apart."""
    from whatyouread.explainers.objectives import find_objective

    schema = yaml.safe_load((PROJECT / "workflow/schemas/config.schema.yaml").read_text())
    config = yaml.safe_load((PROJECT / "config/config.yaml").read_text())

    def compare(properties, values, where):
        for key, entry in properties.items():
            if "properties" in entry and entry["type"] == "object" and key != "simulation":
                compare(entry["properties"], values[key], f"{where}{key}.")
            elif "default" in entry and key != "explainers":
                assert values[key] == entry["default"], where + key

    compare(schema["properties"], config, "")
    names = schema["properties"]["explainers"]["default"]
    assert list(config["explainers"]) == list(names)
    for name, entry in config["explainers"].items():
        assert names[name] == {"objective": entry.pop("objective")}
        defaults = vars(find_objective(names[name]["objective"]).Settings())
        assert {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()} == defaults


def test_what_is_commented_out_may_be_used(papers_folder):
    path = papers_folder / "config" / "config.yaml"
    path.write_text(re.sub(r"^  # (relaxed:|  )", r"  \1", path.read_text(), flags=re.MULTILINE))
    entry = yaml.safe_load(path.read_text())["explainers"]["relaxed"]
    assert entry == {"objective": "paper", "operator": "relaxed"}
    assert complaint(papers_folder, "results/explainers/relaxed/losses.tsv") == ""


@pytest.fixture
def with_files(tmp_path):
    """A folder with files of the user's in places that the workflow writes to."""
    for place in ("dataset", "taxdump", "backbone", "dataset/deep er"):
        (tmp_path / "resources" / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / "resources" / place / "mine.fa").write_text(">1 0\nACGT\n")
    for name in ("dataset", "taxdump", "backbone"):
        (tmp_path / "resources" / f"{name}.json").write_text("{}")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine.fa").write_text(">1 0\nACGT\n")
    (tmp_path / "link.fa").symlink_to("resources/dataset/mine.fa")
    (tmp_path / "linked").symlink_to("resources")
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


def left(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("mine.fa"))


EMPTIED_SOURCES = [
    "resources/dataset",
    "resources/dataset/mine.fa",
    "resources/dataset/not_there.fa",
    "file:resources/dataset/mine.fa",
    "file:resources/dataset/deep%20er/mine.fa",
    "FILE:resources/%64ataset/",
    "file://{folder}/resources/dataset/mine.fa",
    "file://localhost{folder}/resources/taxdump",
    "{folder}/resources/dataset",
    "elsewhere/../resources//dataset/./mine.fa",
    "resources/taxdump/mine.fa",
    "resources/backbone",
    "results/mine.fa",
    "file:results",
    "link.fa",
    "linked/dataset",
    "linked",
    "resources",
    ".",
    "..",
]


@pytest.mark.parametrize(
    ("key", "source"),
    [
        *[("dataset", source) for source in EMPTIED_SOURCES],
        ("taxdump", "resources/taxdump/mine.fa"),
        ("taxdump", "file:resources/%64ataset"),
        ("taxdump", "linked"),
        ("backbone", "resources/backbone"),
        ("backbone", "linked/backbone"),
        ("backbone", "resources"),
    ],
)
def test_what_would_be_emptied_is_no_source(with_files, source, key):
    source = source.format(folder=with_files)
    name = {"backbone": "path"}.get(key, "url")
    before = left(with_files)
    line = complaint(write_config(with_files, TINY | {key: {name: source}}))
    assert re.match(rf"config: {key}.{name}: .*keep your files elsewhere", line), line
    assert "\n" not in line
    assert left(with_files) == before


@pytest.mark.parametrize("file", ["resources/dataset/mine.fa", "results/mine.fa", "link.fa"])
def test_what_would_be_emptied_holds_no_labels(with_files, file):
    line = complaint(write_config(with_files, TINY | {"labels": {"file": file}}))
    assert re.match("config: labels.file: .*keep your files elsewhere", line), line


def test_a_source_elsewhere_is_none_of_it(with_files):
    source = with_files / "elsewhere" / "x y.fa"
    source.write_text(">1 0\nACGT\n")
    for url in ("file:elsewhere/x%20y.fa", str(source), "elsewhere"):
        change = {"dataset": {"url": url}, "labels": {"file": "elsewhere"}}
        write_config(with_files, TINY | change)
        assert complaint(with_files, "results/taxonomy/labels.tsv") == ""


@pytest.mark.parametrize("name", ["dataset", "taxdump", "backbone"])
def test_a_folder_in_the_place_of_an_output_is_not_emptied(with_files, name):
    (with_files / "resources" / f"{name}.json").unlink()
    line = complaint(write_config(with_files, TINY))
    assert line.startswith(f"config: resources/{name} is there but was not made by this workflow")
    for path in sorted((with_files / "resources" / name).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert complaint(with_files) == ""


SECRET = "S3cret-Wort"


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@127.0.0.1:9/x.fa",
        f"http://127.0.0.1:9/x.fa?token={SECRET}",
        f"http://127.0.0.1:9/x.fa?X-Amz-Signature={SECRET}#sig={SECRET}",
    ],
)
def test_the_workflow_shows_no_secret(tmp_path, url):
    """Neither the plan nor the failed job, nor what Snakemake keeps of it."""
    write_config(tmp_path, TINY | {"dataset": {"url": url}, "taxdump": {"url": url}})
    plan = snakemake(tmp_path, "--dry-run", "--printshellcmds", "--cores", "1", "results/run.json")
    assert "record_run.py" in plan.stdout
    assert "127.0.0.1:9/x.fa" in plan.stdout
    run = snakemake(tmp_path, "--cores", "1", "resources/dataset", http_proxy="http://a..b:1")
    assert run.returncode == 1
    assert "a..b" in (tmp_path / "logs" / "download_dataset.log").read_text()
    for done in (plan, run):
        assert SECRET not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "config.yaml":
            assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("section", ["dataset", "taxdump"])
def test_a_refused_address_is_shown_without_its_secrets(tmp_path, section):
    entry = {"url": f"http://user:{SECRET}@h/?token={SECRET}", "sha": 1}
    line = complaint(write_config(tmp_path, TINY | {section: entry}))
    assert line.startswith(f"config: {section}: ")
    assert SECRET not in line


@pytest.mark.parametrize("url", ["file://host/x.fa", "~nobody-of-that-name/x.fa"])
def test_an_address_that_cannot_be_is_a_mistake(tmp_path, url):
    line = complaint(write_config(tmp_path, TINY | {"dataset": {"url": url}}))
    assert line.startswith("config: dataset.url: ")
    assert "\n" not in line
