# The pages of the report that show tables: what is on each of them, and where it stands.

# name: (category, title, files in results/)
PAGES = {
    "data": (
        "Data",
        "Sequences and classes",
        ["taxonomy/summary.tsv", "split/summary.tsv"],
    ),
    "blank": (
        "Models",
        "What the classifier says about nothing",
        ["explanandum/blank_summary.tsv"],
    ),
    "table1": (
        "Table 1",
        "Table 1: ours and the paper's",
        ["table1.tsv", *(f"variants/{v}/table1.tsv" for v in OTHERS)],
    ),
    "controls": (
        "Controls",
        "Table 1 for masks that should do worse",
        ["table1_controls.tsv", *(f"variants/{v}/table1_controls.tsv" for v in OTHERS)],
    ),
    "mask_statistics": (
        "Masks",
        "Masks and chunks in numbers",
        ["mask_statistics.tsv", *(f"variants/{v}/mask_statistics.tsv" for v in OTHERS)],
    ),
    "comparison": (
        "Comparison",
        "Methods and their controls",
        ["comparison.tsv"],
    ),
    "steering": (
        "Comparison",
        "Steering and leakage of all methods",
        ["steering.tsv"],
    ),
    "faithfulness": (
        "Comparison",
        "Faithfulness of all methods",
        ["faithfulness.tsv"],
    ),
    "class_explanations": (
        "Class explanations",
        "What speaks for each class",
        ["class_explanations.tsv"],
    ),
    "class_summary": (
        "Class explanations",
        "Distinctiveness and coverage, and the same with shuffled labels",
        ["class_explanations_null.tsv", "class_explanations_summary.tsv"],
    ),
    "run": (
        "Provenance",
        "Configuration, versions, seeds and digests",
        ["run.json"],
    ),
}

if (
    VARIANT == "paper"
):  # the loss of the paper's objective, which the sharp variant does not have
    PAGES["losses"] = (
        "Models",
        "The Explainer's loss beside that of masks that know nothing",
        ["explainer/losses.tsv"],
    )
if "simulation" in config:
    PAGES["localization"] = (
        "Controls",
        "Do the masks point at what was planted?",
        ["localization.tsv", *(f"variants/{v}/localization.tsv" for v in OTHERS)],
    )
    PAGES["planted_classes"] = (
        "Class explanations",
        "Do the k-mers come from what was planted?",
        ["class_explanations_planted.tsv"],
    )


def page_files(wildcards):
    return [f"results/{name}" for name in PAGES[wildcards.page][2]]


def page_category(wildcards):
    return PAGES[wildcards.page][0]


def page_title(wildcards):
    return PAGES[wildcards.page][1]


def page_labels(wildcards):
    return {"what": page_title(wildcards), "as": "table"}
