# What a reader wants first, and tables and records as pages of the report. Pictures go there from
# the rules that draw them.

# name: (category, title, files)
PAGES = {
    "data": (
        "Data",
        "Sequences and classes",
        ["results/taxonomy/summary.tsv", "results/split/summary.tsv"],
    ),
    "blank": (
        "Models",
        "What the classifier says about nothing",
        ["results/explanandum/0/blank_summary.tsv"],
    ),
    "table1": (
        "Table 1",
        "Table 1: ours and the paper's",
        of_explainers("table1.tsv"),
    ),
    "controls": (
        "Controls",
        "Table 1 for masks that should do worse",
        of_explainers("controls.tsv"),
    ),
    "mask_statistics": (
        "Masks",
        "Masks and chunks in numbers",
        of_explainers("mask_statistics.tsv"),
    ),
    "comparison": (
        "Comparison",
        "Methods and their controls",
        ["results/comparison.tsv"],
    ),
    "steering": (
        "Comparison",
        "Fidelity, steering and leakage of all methods",
        ["results/steering_differences.tsv", "results/steering.tsv"],
    ),
    "faithfulness": (
        "Comparison",
        "Faithfulness of all methods",
        ["results/faithfulness.tsv"],
    ),
    "class_explanations": (
        "Class explanations",
        "What speaks for each class",
        ["results/class_explanations.tsv"],
    ),
    "class_summary": (
        "Class explanations",
        "Distinctiveness and coverage, and the same with shuffled labels",
        [
            "results/class_explanations_null.tsv",
            "results/class_explanations_summary.tsv",
        ],
    ),
    "class_agreement": (
        "Class explanations",
        "How stable the lists are, and how far two sources agree",
        [
            "results/class_explanations_stability.tsv",
            "results/class_explanations_agreement.tsv",
        ],
    ),
    "run": (
        "Provenance",
        "Configuration, versions, seeds and digests",
        ["results/run.json"],
    ),
}
if if_kmers("motifs"):
    PAGES["motif_effects"] = (
        "Class explanations",
        "Motifs in random sequences",
        ["results/motif_effects.tsv"],
    )
if WITH_PAPERS_LOSS:
    PAGES["losses"] = (
        "Models",
        "The paper's loss of an Explainer, beside that of masks that know nothing",
        expand("results/explainers/{explainer}/losses.tsv", explainer=WITH_PAPERS_LOSS),
    )
if "positions" in config:
    PAGES["localization"] = (
        "Controls",
        "Do the masks point at what is known to matter?",
        ["results/positions.tsv", *of_explainers("localization.tsv")],
    )
    PAGES["evidence"] = (
        "Comparison",
        "All methods against what is known to matter",
        ["results/evidence.tsv"],
    )
if "simulation" in config:
    PAGES["localization"] = (
        "Controls",
        "Do the masks point at what was planted?",
        of_explainers("localization.tsv"),
    )
if if_simulated("planted") or if_simulated_words("planted"):
    PAGES["planted_classes"] = (
        "Class explanations",
        f"Do the {NAMES_OF_ITEMS} come from what was planted?",
        ["results/class_explanations_planted.tsv"],
    )


rule copy_table1:
    input:
        table=f"results/explainers/{MAIN}/table1.tsv",
        markdown=f"results/explainers/{MAIN}/table1.md",
    output:
        table="results/table1.tsv",
        markdown="results/table1.md",
    log:
        "logs/copy_table1.log",
    localrule: True
    conda:
        "../../envs/copy_table1.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    shell:
        "(cp {input.table} {output.table} && cp {input.markdown} {output.markdown}) 2> {log}"


rule summarize_run:
    input:
        tables=of_explainers("table1.tsv"),
        controls=of_explainers("controls.tsv"),
        statistics=of_explainers("mask_statistics.tsv"),
        localizations=if_known(of_explainers("localization.tsv")),
        copies="results/split/copies.tsv",
        splits=["results/split/summary.tsv"] if "given" in config["split"] else [],
        evidence=evidence_summary,
    output:
        summary="results/summary.md",
    log:
        "logs/summarize_run.log",
    localrule: True
    conda:
        "../../envs/summarize_run.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        names=list(EXPLAINERS),
        ranks=RANKS,
        localizations=lambda wildcards, input: option(
            ("--planted " if "simulation" in config else "") + "--localizations",
            input.localizations,
        ),
        splits=lambda wildcards, input: option("--given-splits", input.splits),
        evidence=lambda wildcards, input: option("--evidence", input.evidence),
    shell:
        'python "$WHATYOUREAD/scripts/summarize_run.py" --names {params.names}'
        " --tables {input.tables} --controls {input.controls}"
        " --mask-statistics {input.statistics} {params.localizations} --ranks {params.ranks:q}"
        " --copies {input.copies} {params.splits} {params.evidence} --summary {output.summary}"
        " --log {log}"


rule record_run:
    input:
        dataset="resources/dataset.json",
        taxdump=taxdump_record,
        backbone="resources/backbone.json",
        explanandum="results/explanandum/0/run.json",
        explainers=of_explainers("0/run.json"),
        tables=of_explainers("table1.tsv"),
    output:
        record="results/run.json",
    log:
        "logs/record_run.log",
    localrule: True
    conda:
        "../../envs/record_run.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        config=lambda wildcards: json.dumps(addresses.hide_all(config), sort_keys=True),
    shell:
        'python "$WHATYOUREAD/scripts/record_run.py" --config {params.config:q}'
        " --records {input.dataset} {input.taxdump} {input.backbone} {input.explanandum}"
        " {input.explainers} --results {input.tables} --output {output.record} --log {log}"


rule render_table:
    input:
        files=lambda wildcards: PAGES[wildcards.page][2],
    output:
        html=report(
            "results/report/{page}.html",
            caption="../report/render_table.rst",
            category=lambda wildcards: PAGES[wildcards.page][0],
            labels=lambda wildcards: {"what": PAGES[wildcards.page][1], "as": "table"},
        ),
    log:
        "logs/render_table/{page}.log",
    wildcard_constraints:
        page=one_of(PAGES),
    localrule: True
    conda:
        "../../envs/render_table.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        title=lambda wildcards: PAGES[wildcards.page][1],
    shell:
        'python "$WHATYOUREAD/scripts/render_table.py" --files {input.files}'
        " --title {params.title:q} --html {output.html} --log {log}"
