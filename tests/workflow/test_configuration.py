"""What a configuration may hold: every mistake stops at planning, in one line."""

import inspect
import json
import math
import re

import pytest
import yaml
from helpers_workflow import PROJECT, TINY, complaint, snakemake, understood, write_config


def methods(values) -> dict:
    return {"attributions": {"methods": values}}


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
        (
            {"backbone": {"repository": "x/y", "revision": "main"}},
            "config: backbone.revision: 'main'",
        ),
        ({"seed": -1}, "config: seed: -1"),
        ({"parts": 0}, "config: parts: 0"),
        ({"checkpoint_minutes": 0}, "config: checkpoint_minutes: 0"),
        ({"split": {"test": 0.6, "validation": 0.5}}, "leave nothing to train on"),
        ({"split": {"similarity": 0}}, "config: split.similarity: 0"),
        ({"split": {"similarity": 1.5}}, "config: split.similarity: 1.5"),
        ({"split": {"group_by": True}}, "config: split.group_by: True is not of type"),
        ({"split": {"group_by": ""}}, "config: split.group_by: "),
        (
            only("p", objective="paper", gpus=5),
            "explainers.p: batch_size 48 is no multiple of gpus 5",
        ),
        ({"explainers": {}}, "config: explainers: "),
        (only("p.1", objective="paper"), "config: explainers: 'p.1'"),
        (only("p", epochs=2), "config: explainers.p: 'objective' is a required"),
        (only("p", objective="paper", min_aera=0.1), "config: explainers.p: .*'min_aera'"),
        (only("p", objective="paper", area=0.1), "config: explainers.p: .*'area'"),
        (only("p", objective="sharp", epoch=1), "config: explainers.p: .*'epoch'"),
        (only("p", objective="sharp", smoothing=2), "config: explainers.p.smoothing: 2"),
        (only("p", objective="new", epochs=0), "config: explainers.p.epochs: 0"),
        (only("p", objective="papper"), "explainers.p.objective: 'papper' is none of paper, sharp"),
        (
            only("p", objective="paper", min_area=0.4, max_area=0.3),
            "p: min_area 0.4 is above max_area",
        ),
        (only("p", objective="paper", min_area=0.5), "p: min_area 0.5 is above max_area 0.3"),
        (only("p", objective="paper", max_area=0.04), "p: min_area 0.05 is above max_area 0.04"),
        (only("p", objective="new", min_area="low"), "explainers.p.objective: 'new' is none of"),
        (
            only("p", objective="paper", min_area="low"),
            "explainers.p.min_area: 'low' is not of type",
        ),
        (only("p", objective="paper", learning_rate=math.nan), "explainers: p: learning_rate: nan"),
        ({"evaluation": {"batch_size": math.inf}}, "evaluation: batch_size: inf"),
        (only("paper\n", objective="paper"), "config: explainers: 'paper.n'"),
        ({"explainers": {0: {"objective": "paper"}}}, "config: explainers: the key 0 is no text"),
        ({"explainers": {True: {"objective": "paper"}}}, "config: explainers: the key True is no"),
        ({"explainers": {None: {"objective": "paper"}}}, "config: explainers: the key None is no"),
        ({"explainers": ["paper"]}, "config: explainers: .* is not of type 'object'"),
        (methods({1: {}}), "config: attributions: methods: the key 1 is no text"),
        (methods(["lime"]), "config: attributions.methods: .* is not of type 'object'"),
        (methods({"lmie": {}}), "config: attributions.methods.lmie.method: 'lmie' is not one of"),
        (methods({"a": {"method": "shap"}}), "config: attributions.methods.a.method: 'shap'"),
        (methods({"lime": {"sample": 10}}), "config: attributions.methods.lime: .*'sample'"),
        (methods({"lime": {"samples": "many"}}), "attributions.methods.lime.samples: 'many'"),
        (methods({"lime": {"samples": 0}}), "config: attributions.methods.lime.samples: 0"),
        (methods({"lime": {"preset": "best"}}), "config: attributions.methods.lime.preset: 'best'"),
        (methods({"random": {"seed": 1}}), "config: attributions.methods.random: .*'seed'"),
        (methods({"ablation": {"window": 1.5}}), "attributions.methods.ablation.window: 1.5"),
        (methods({"occlusion_gradients": {"areas": [2]}}), "occlusion_gradients.areas.0: 2"),
        (
            methods({"mine": {"file": 3}}),
            "config: attributions.methods.mine.file: 3 is not of type",
        ),
        (methods({"mine": {"file": ""}}), "config: attributions.methods.mine.file: ''"),
        (methods({"mine": {"file": "x", "steps": 3}}), "attributions.methods.mine: .*'steps'"),
        (methods({"file": {}}), "config: attributions.methods.file: 'file' is a required"),
        (methods({"lime": {"method": "lime", "file": "x"}}), "attributions.methods.lime: .*'file'"),
        (methods({"mine": {"file": "x"}}), "mine.file: no file is called x: leave the method out"),
        (methods({"mine": {"file": "~/x y"}}), "mine.file: no file is called /.*/x y: leave the"),
        (methods({"random": None}), "config: attributions.methods.random: nothing is given"),
        ({"split": {"explainer_train": 1.5}}, "split.explainer_train: 1.5 is neither a share"),
        ({"split": {"explainer_validation": 2.25}}, "split.explainer_validation: 2.25 is neither"),
        ({"backbone": TINY["backbone"] | {"hidden_size": 18}}, "hidden_size: 18 is no multiple"),
        ({"backbone": {"hidden_size": 18}}, "config: backbone: 'num_hidden_layers' is a required"),
        ({"backbone": TINY["backbone"] | {"hiden": 18}}, "config: backbone: .*'hiden'"),
        ({"backbone": {"path": "x", "revision": "y"}}, "config: backbone: .*'path'"),
        ({"backbone": {"revision": "0" * 40}}, "config: backbone: 'repository' is a required"),
        ({"backbone": {}}, "config: backbone: {}"),
        ({"tokenizer": "bpe"}, "config: tokenizer: 'bpe' is none of six_mers"),
        ({"split": {"folds": {"test": [1]}}}, "config: split.folds: they are values of a column"),
        (
            {"backbone": TINY["backbone"] | {"family": "gpt"}},
            "config: backbone.family: 'gpt' is none of esm, bert",
        ),
        (
            {"backbone": TINY["backbone"] | {"tokenizer": "residues"}},
            "config: backbone.tokenizer: only with backbone.family",
        ),
        (
            {"backbone": TINY["backbone"] | {"family": "bert", "tokenizer": "residues"}},
            "config: tokenizer: six_mers makes other tokens than backbone.tokenizer: set tokenizer: back",
        ),
        (
            {"labels": {"source": "gtbd"}},
            "config: labels.source: 'gtbd' is none of ncbi, table, lineage",
        ),
        ({"class_explanations": {"sources": 3}}, "config: class_explanations.sources: 3"),
        (
            {"class_explanations": {"sources": "explainer_paper"}},
            "class_explanations.sources: 'expl",
        ),
        ({"attributions": {"methods": {"explainer_paper": {}}}}, "'explainer_paper'"),
        ({"class_explanations": {"sources": ["explainer_shrap"]}}, "there is no explainer_shrap"),
        (only("both", objective="joint", samples=8), "config: explainers.both.*'samples'"),
        (only("both", objective="joint", learns=["attnlrp"], question="both"), "'question'"),
        (only("both", objective="joint", learns=[]), "config: explainers.both.learns"),
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
        only("both", objective="joint", question="both", target="class", area=0.2),
        only("both", objective="joint", learns=["sharp", "fastshap"], samples=8, question="both"),
        {"explainer": {"weight_decay": 1, "epochs": 2.0}},
        {"split": TINY["split"] | {"explainer_train": 30.0}},
        {"attributions": {"methods": {"a": {"method": "ablation", "window": 3}, "random": {}}}},
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
        ({"split": {"group_duplicates": False}}, "split.group_by: duplicates"),
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


@pytest.mark.parametrize(
    "theirs", ["runs/mine/table.tsv", "variants/calls.vcf", "masks/mask.bed", "explainer/notes.md"]
)
def test_results_of_another_workflow_are_no_old_ones(tmp_path, theirs):
    path = tmp_path / "results" / theirs
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    assert complaint(write_config(tmp_path, TINY)) == ""


def test_all_old_keys_are_named_at_once(tmp_path):
    old = {"scatter": 2, "explainer": {"both": True, "variant": "sharp"}}
    lines = complaint(write_config(tmp_path, TINY | old)).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("config: ") for line in lines)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"attributions": {"sequences": 1}},
            "attributions.sequences: 1 is less than the minimum of 2",
        ),
        ({"ranks": ["phylum", "genus\n"]}, r"config: ranks.1: 'genus.n' does not match"),
        ({"container": "x.sif\n"}, "config: container: 'x.sif.n' does not match"),
        ({"explainer": None}, "config: explainer: nothing is given: give a value, {} for"),
        ({"seed": None}, "config: seed: nothing is given"),
        ({"attributions": []}, "config: attributions: .. is not of type 'object'"),
        ({"evaluation": {"batch_size": 10**30}}, "evaluation.batch_size: 10+ is greater than"),
        ({"explainer": {"epochs": 1e30}}, "explainer.epochs: 10+.* is greater than"),
        ({"explanandum": {"gpus": 1000}}, "explanandum.gpus: 1000 is greater than"),
        ({"runs": {"number": 3000}}, "runs.number: 3000 is greater than"),
        (only("p" * 300, objective="paper"), "config: explainers: 'p+' is too long"),
        (methods({"m" * 300: {"method": "random"}}), "attributions.methods: 'm+' is too long"),
        ({"dataset": {"url": "x" * 300}}, "dataset.url: x+: .*[Nn]ame too long"),
        ({"backbone": {"path": "x" * 300}}, "backbone.path: x+: .*[Nn]ame too long"),
        ({"dataset": {"url": "a{b}.fa"}}, "dataset.url: a{b}.fa: Snakemake cannot read .* braces"),
        ({"labels": {"file": "a{b}.tsv"}}, "labels.file: a{b}.tsv: Snakemake cannot read"),
        ({"backbone": {"path": ""}}, "config: backbone.path: '' should be non-empty"),
        ({"labels": {"file": ""}}, "config: labels.file: '' should be non-empty"),
        ({"dataset": {"url": "x", "sha256": 12}}, "dataset.sha256: 12 .*'string': quote it"),
    ],
)
def test_what_is_empty_or_beyond_all_bounds_is_refused(tmp_path, change, expected):
    line = complaint(write_config(tmp_path, TINY | change))
    assert "\n" not in line
    assert re.search(expected, line), line


def test_the_demos_data_without_its_settings_are_missing_files(tmp_path):
    real = {key: value for key, value in TINY.items() if key != "simulation"}
    said = complaint(write_config(tmp_path, real))
    assert "Missing input files" in said
    assert "resources/simulated/dataset.zip" in said


def test_an_address_may_have_braces(tmp_path):
    """Which are no wildcards."""
    url = {"url": "http://example.org/{a}?b={c'd}&e=$f;%20"}
    real = {key: value for key, value in TINY.items() if key != "simulation"}
    assert complaint(write_config(tmp_path, real | {"dataset": url, "taxdump": url})) == ""


def test_mistakes_of_several_sections_are_said_at_once(tmp_path):
    change = {"seed": -1, "split": {"test": 2}, "explainer": None, "prats": 3}
    lines = complaint(write_config(tmp_path, TINY | change)).splitlines()
    assert len(lines) == 4
    for words in ("'prats' was unexpected", "seed: -1", "split.test: 2", "explainer: nothing"):
        assert any(words in line for line in lines), words


@pytest.mark.parametrize(
    "value",
    ["attributions=5", "attributions=", "attributions=[lime]", "backbone=5", "backbone=",
     "explainers=paper", "labels=ncbi", "dataset=mine.zip"],
)  # fmt: skip
def test_a_section_that_becomes_no_section_is_refused(tmp_path, value):
    """Not ignored, and no traceback, though the file has the section."""
    line = complaint(write_config(tmp_path, TINY), values=[value])
    assert line.startswith(f"config: {value.split('=')[0]}: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", "explainer: {epochs: 3}\nseed: 1\nexplainer: {layers: 1}\n", "explainer"),
        ("a.yaml", "seed: 1\nexplainer:\n  epochs: 3\n  epochs: 3\n", "epochs"),
        ("a.json", '{"seed": 1, "seed": 2}', "seed"),
        ("a.json", '{\n\t"runs": {"number": 1,\n\t"number": 2}}', "number"),
        ("a.yaml", "explainers: {b: &x {objective: sharp}, a: {<<: *x, epochs: 3}}\n", None),
        ("a.yaml", "\ufeffseed: 3\n", None),
        ("a.json", '{\n\t"seed": 1}', None),
    ],
)
def test_a_key_that_a_file_has_twice_is_refused(tmp_path, name, text, expected):
    """The parsers take the last one, and lose the others."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    line = complaint(write_config(tmp_path, TINY), files=[path])
    assert "\n" not in line
    assert (f"{path}: the key {expected} is there twice" in line) if expected else line == ""


def test_the_own_file_is_looked_through_for_keys_twice(tmp_path):
    path = write_config(tmp_path, TINY) / "config" / "config.yaml"
    path.write_text(path.read_text() + "\nruns: {number: 4}\n")
    assert "config/config.yaml: the key runs is there twice" in complaint(tmp_path)


def folder_with(tmp_path, *files: dict):
    """A run's folder with the paper's configuration, and further files for --configfile."""
    write_config(tmp_path, yaml.safe_load((PROJECT / "config" / "config.yaml").read_text()))
    paths = [tmp_path / f"{number}.yaml" for number in range(len(files))]
    for path, values in zip(paths, files, strict=True):
        path.write_text(yaml.safe_dump(values, sort_keys=False))
    return tmp_path, paths


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([], ["paper", "sharp"]),
        ([{"explainers": {"sharp": {"epochs": 3}}}], ["paper", "sharp"]),
        ([{"explainers": {"mine": {"objective": "sharp"}}}], ["paper", "sharp", "mine"]),
        (
            [{"explainers": {"b": {"objective": "sharp"}}}, {"explainers": {"a": {"objective": "paper"}}}],
            ["paper", "sharp", "b", "a"],
        ),
    ],
)  # fmt: skip
def test_the_first_explainer_of_the_configuration_stays_the_main_one(tmp_path, files, names):
    found = understood(*folder_with(tmp_path, *files))
    assert list(found["EXPLAINERS"]) == names
    assert found["MAIN"] == "paper"


SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 9}


@pytest.mark.parametrize(
    ("files", "values", "backbone"),
    [
        ([{"backbone": SIZES}], [], SIZES),
        ([{"backbone": {"path": "x"}}], [], {"path": "x"}),
        ([], ['backbone={"path": "x"}'], {"path": "x"}),
        ([{"backbone": SIZES}], ['backbone={"hidden_size": 16}'], SIZES | {"hidden_size": 16}),
        ([{"backbone": SIZES}], ['backbone={"path": "x"}'], {"path": "x"}),
        ([{"backbone": {"path": "x"}}, {"backbone": SIZES}], [], SIZES),
        (
            [],
            [f'backbone={{"revision": "{"1a" * 20}"}}'],
            {
                "repository": "InstaDeepAI/nucleotide-transformer-v2-50m-multi-species",
                "revision": "1a" * 20,
            },
        ),
    ],
)
def test_another_way_to_give_the_backbone_replaces_the_first(tmp_path, files, values, backbone):
    found = understood(*folder_with(tmp_path, *files), values)
    assert found["config"]["backbone"] == backbone


def test_the_small_configuration_over_the_papers_is_the_small_one(tmp_path):
    """`--configfile config/small.yaml` in the checkout, where Snakemake reads config.yaml too."""
    small = PROJECT / "config" / "small.yaml"
    given = yaml.safe_load(small.read_text())
    found = understood(folder_with(tmp_path)[0], [small])
    assert found["config"]["backbone"] == given["backbone"]
    assert found["EXPLAINERS"]["sharp"]["epochs"] == 3
    assert len(found["METHODS"]) == 12
    line = complaint(tmp_path, "results/taxonomy/labels.tsv", files=[small])
    assert "Missing input files for rule download_dataset" in line  # which the user gives


def test_methods_that_are_given_are_all_methods(tmp_path):
    two = {"lime": {"samples": 30}, "chance": {"method": "random"}}
    found = understood(*folder_with(tmp_path, {"attributions": {"methods": two}}))
    assert found["METHODS"] == ["explainer_paper", "explainer_sharp", "lime", "chance"]
    assert found["config"]["attributions"]["methods"]["lime"] == {"method": "lime", "samples": 30}
    assert found["config"]["attributions"]["again"] == 200
    value = f"attributions={json.dumps({'methods': {'random': {}}})}"
    found = understood(*folder_with(tmp_path, {"attributions": {"methods": two}}), [value])
    assert found["METHODS"] == ["explainer_paper", "explainer_sharp", "random"]


@pytest.mark.parametrize(
    ("value", "key", "expected"),
    [
        ('explainer={"epochs": 10}', "explainer.epochs", 10),
        ('explainer={"epochs": "10"}', "explainer.epochs", 10),
        ('explainer={"learning_rate": 2e-4}', "explainer.learning_rate", 0.0002),
        ('explainer={"learning_rate": 1}', "explainer.learning_rate", 1),
        ("explainer={epochs: 3.0}", "explainer.epochs", 3),
        ("explanandum={compile: True, reverse_complement: false}", "explanandum.compile", True),
        ('explainers={"sharp": {"smoothing": 3}}', "explainers.sharp.smoothing", 3),
        ('explainers={"sharp": {"occlusion_windows": [1, 4]}}', "explainers.sharp.occlusion_windows", [1, 4]),
        ('explainers={"paper": {"entropy_weight": 0.5}}', "explainers.paper.entropy_weight", 0.5),
        ('attributions={"methods": {"lime": {"samples": 50}}}', "attributions.methods.lime.samples", 50),
        ('dataset={"url": "12", "size": 12}', "dataset.size", 12),
        ('dataset={"url": "12", "size": 12}', "dataset.url", "12"),
        ("seed=7", "seed", 7),
        ("parts=2.0", "parts", 2),
        ('runs={"number": 2.0}', "runs.number", 2),
        ("ranks=[phylum, genus]", "ranks", ["phylum", "genus"]),
        ('faithfulness={"fractions": [0.5, 1]}', "faithfulness.fractions", [0.5, 1]),
        ('split={"explainer_train": 1e3}', "split.explainer_train", 1000),
    ],
)  # fmt: skip
def test_values_of_the_command_line_get_the_types_of_the_schema(tmp_path, value, key, expected):
    found = understood(*folder_with(tmp_path), [value])
    made = found["look_up"](found["config"], key)
    assert made == expected
    assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('explainer={"epochs": 1.5}', "config: explainer.epochs: 1.5 is not of type 'integer'"),
        ('explainer={"epochs": ten}', "config: explainer.epochs: 'ten' is not of type 'integer'"),
        ('explainer={"learning_rate": nan}', "config: explainer.learning_rate: 'nan'"),
        ("explanandum={compile: 1}", "config: explanandum.compile: '1' is not of type 'boolean'"),
        ("ranks=genus", "config: ranks: 'genus' is not of type 'array'"),
        (
            'explainers={"a": {"objective": "sharp", "smoothing": 4}}',
            "config: explainers.a.smoothing",
        ),
        ('explainers={"a": {"smoothing": 3}}', "config: explainers.a: 'objective' is a required"),
    ],
)
def test_what_is_no_such_value_stays_a_mistake(tmp_path, value, expected):
    line = complaint(write_config(tmp_path, TINY), values=[value])
    assert line.startswith(expected)
    assert "\n" not in line


def test_the_data_alone_make_the_papers_configuration(tmp_path):
    """A key that is left out has the paper's value, the backbone included."""
    papers = understood(*folder_with(tmp_path / "whole"))
    data = {key: papers["config"][key] for key in ("dataset", "taxdump")}
    short = understood(write_config(tmp_path / "short", data))
    for name in ("METHODS", "MAIN", "RANKS", "CLASS_SOURCES", "RUNS"):
        assert short[name] == papers[name]
    for key, value in short["config"].items():
        if key != "explainers":
            assert (
                {"sources": papers["CLASS_SOURCES"]} | value == papers["config"][key]
                if (key == "class_explanations")
                else value == papers["config"][key]
            ), key


def test_whole_numbers_are_the_same_however_they_are_written(tmp_path):
    """`0` and `0.0` must not be two settings, or a training is run again."""
    one, two = (
        understood(*folder_with(tmp_path, {"explainer": {"weight_decay": x, "max_grad_norm": y}}))
        for x, y in ((0, 1), (0.0, 1.0))
    )
    assert repr(one["EXPLAINERS"]) == repr(two["EXPLAINERS"])


def test_the_schema_knows_every_method_and_its_settings():
    from whatyouread.methods.registry import METHODS

    schema = yaml.safe_load((PROJECT / "workflow/schemas/config.schema.yaml").read_text())
    method = schema["$defs"]["method"]
    known = {
        entry["if"]["properties"]["method"]["const"]: entry["then"]["properties"]
        for entry in method["allOf"]
    }
    own = METHODS.keys() - {"explainer"} | {"file"}
    assert set(method["properties"]["method"]["enum"]) == own
    for name, (_, documented) in METHODS.items():
        if name != "explainer":
            given = set(inspect.signature(documented).parameters)
            settings = given - {"question", "explanandum", "batch"}
            assert set(known.get(name, {})) == settings, name


def test_the_command_line_says_it_without_a_traceback(tmp_path):
    done = snakemake(write_config(tmp_path, TINY | {"scatter": 2}), "--dry-run")
    assert done.returncode == 1
    assert "config: scatter is now `parts`" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_defaults_are_the_papers_configuration():
    """config.yaml spells out every default; the two must not drift apart."""
    from whatyouread.explainers.objectives import find_objective
    from whatyouread.masks.gate_settings import GateSettings

    schema = yaml.safe_load((PROJECT / "workflow/schemas/config.schema.yaml").read_text())
    config = yaml.safe_load((PROJECT / "config/config.yaml").read_text())
    methods = config["attributions"]["methods"]
    for name, entry in methods.items():  # as the workflow does
        methods[name] = {"method": name} | entry

    def compare(properties, values, where):
        for key, entry in properties.items():
            section = "properties" in entry and entry["type"] == "object"
            if section and "default" in entry:  # others are optional
                compare(entry["properties"], values[key], f"{where}{key}.")
            elif "default" in entry and key != "explainers":
                assert values[key] == entry["default"], where + key

    compare(schema["properties"], config, "")
    names = schema["properties"]["explainers"]["default"]
    assert list(config["explainers"]) == list(names)
    for name, entry in config["explainers"].items():
        assert names[name] == {"objective": entry.pop("objective")}
        defaults = vars(find_objective(names[name]["objective"]).Settings())
        if name == "sharp":
            defaults |= vars(GateSettings())
            assert defaults.pop("occlusion_areas") is None  # they follow from the question
        assert {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()} == defaults


def test_what_is_commented_out_may_be_used(papers_folder):
    path = papers_folder / "config" / "config.yaml"
    marked = r"^  # ((?:relaxed|joint):|  )"
    path.write_text(re.sub(marked, r"  \1", path.read_text(), flags=re.MULTILINE))
    entries = yaml.safe_load(path.read_text())["explainers"]
    assert entries["relaxed"] == {"objective": "paper", "operator": "relaxed"}
    assert entries["joint"] == {"objective": "joint", "learns": ["sharp", "attnlrp"]}
    assert complaint(papers_folder, "results/explainers/relaxed/losses.tsv") == ""
    assert complaint(papers_folder, "results/explainers/joint/masks.parquet") == ""


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


@pytest.mark.parametrize("file", ["resources/dataset/mine.fa", "results/mine.fa", "link.fa"])
def test_what_would_be_emptied_holds_no_scores(with_files, file):
    change = {"attributions": {"methods": {"mine": {"file": file}}}}
    line = complaint(write_config(with_files, TINY | change))
    assert re.match("config: attributions.methods.mine.file: .*keep your files elsewhere", line)
    assert "\n" not in line


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
