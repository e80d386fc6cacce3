# From public archives, or files of this machine, to labelled, split and tokenized sequences; and the
# pretrained encoder.

# Not in a function: the prefix is known only while this is read. Rules take them by functions, in whose
# values Snakemake sees no wildcards: an address may have braces.
ADDRESSES = {section: shown(section) for section in SOURCES}


rule download_dataset:
    input:
        local_source("dataset"),
    output:
        folder=directory("resources/dataset"),
        record="resources/dataset.json",
    log:
        "logs/download_dataset.log",
    benchmark:
        "benchmarks/download_dataset.tsv"
    localrule: True
    conda:
        "../../envs/download_dataset.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(720),
    params:
        url=lambda wildcards: ADDRESSES["dataset"],
        checks=checks("dataset"),
        partial=placed("resources/partial"),
    shell:
        'python "$WHATYOUREAD/scripts/download_dataset.py" --url {params.url:q} {params.checks}'
        " --partial {params.partial} --output-dir {output.folder} --record {output.record}"
        " --log {log}"


rule download_backbone:
    input:
        backbone_path,
    output:
        folder=directory("resources/backbone"),
        record="resources/backbone.json",
    log:
        "logs/download_backbone.log",
    localrule: True
    conda:
        "../../envs/download_backbone.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(120),
    params:
        settings=backbone_settings(),
    shell:
        'python "$WHATYOUREAD/scripts/download_backbone.py" --settings {params.settings:q}'
        " --output-dir {output.folder} --record {output.record} --log {log}"


rule label_taxonomy:
    input:
        dataset="resources/dataset",
        label_file=label_file,
        label_map=label_map,  # its path is one of the settings
        classes=given_classes,
    output:
        labels="results/taxonomy/labels.tsv",
        classes="results/taxonomy/classes.tsv",
        summary="results/taxonomy/summary.tsv",
        sequences="results/taxonomy/sequences.parquet",
    log:
        "logs/label_taxonomy.log",
    benchmark:
        "benchmarks/label_taxonomy.tsv"
    conda:
        "../../envs/label_taxonomy.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    params:
        ranks=RANKS,
        source=config["labels"]["source"],
        missing=config["labels"]["missing"],
        settings=label_settings,
        paper=beside_paper("dataset.tsv"),
        sequences=settings("sequences"),
        classes=lambda wildcards, input: option("--classes-of", input.classes),
        # as many words as there are, each as it is
        file=lambda wildcards, input: [
            f"--label-file={path}" for path in input.label_file
        ],
    shell:
        'python "$WHATYOUREAD/scripts/label_taxonomy.py" --dataset {input.dataset}'
        " {params.file:q} {params.paper}"
        " --source {params.source:q} --source-settings {params.settings:q} --missing {params.missing}"
        " {params.classes}"
        " --sequence-settings {params.sequences:q}"
        " --ranks {params.ranks:q} --labels {output.labels} --classes {output.classes}"
        " --summary {output.summary} --sequences {output.sequences} --log {log}"


rule find_copies:
    input:
        dataset="resources/dataset",
    output:
        copies="results/copies/copies.parquet",
    log:
        "logs/find_copies.log",
    benchmark:
        "benchmarks/find_copies.tsv"
    conda:
        "../../envs/find_copies.yaml"
    threads: 2
    resources:
        mem_mb=memory(6000),
        runtime=minutes(120),
    params:
        settings=settings("sequences"),
        similarity=config["split"]["similarity"],
    shell:
        'python "$WHATYOUREAD/scripts/find_copies.py" --dataset {input.dataset}'
        " --sequence-settings {params.settings:q} --similarity {params.similarity}"
        " --copies {output.copies} --log {log}"


rule split_dataset:
    input:
        labels="results/taxonomy/labels.tsv",
        classes="results/taxonomy/classes.tsv",
        sequences="results/taxonomy/sequences.parquet",
        copies=clusters,
    output:
        splits="results/split/splits.parquet",
        summary="results/split/summary.tsv",
    log:
        "logs/split_dataset.log",
    benchmark:
        "benchmarks/split_dataset.tsv"
    conda:
        "../../envs/split_dataset.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        ranks=RANKS,
        settings=split_settings,
        copies=lambda wildcards, input: option("--copies", input.copies),
        seed=config["seed"],
    shell:
        'python "$WHATYOUREAD/scripts/split_dataset.py" --sequences {input.sequences}'
        " {params.copies} --labels {input.labels} --classes {input.classes} --ranks {params.ranks:q}"
        " --settings {params.settings:q} --seed {params.seed} --splits {output.splits}"
        " --summary {output.summary} --log {log}"


# Apart from the splits, which older versions made without it.
rule count_copies:
    input:
        sequences="results/taxonomy/sequences.parquet",
        splits="results/split/splits.parquet",
        copies="results/copies/copies.parquet",
        classes="results/taxonomy/classes.tsv",
    output:
        table="results/split/copies.tsv",
    log:
        "logs/count_copies.log",
    localrule: True
    conda:
        "../../envs/count_copies.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        level=RANKS[0],
    shell:
        'python "$WHATYOUREAD/scripts/count_copies.py" --sequences {input.sequences}'
        " --splits {input.splits} --copies {input.copies} --classes {input.classes}"
        " --level {params.level:q} --table {output.table} --log {log}"


rule tokenize_sequences:
    input:
        dataset="resources/dataset",
        sequences="results/taxonomy/sequences.parquet",
        splits="results/split/splits.parquet",
        backbone=["resources/backbone"] if config["tokenizer"] == "backbone" else [],
    output:
        train="results/tokens/train.arrow",
        validation="results/tokens/validation.arrow",
        test="results/tokens/test.arrow",
        explainer_train="results/tokens/explainer_train.arrow",
        explainer_validation="results/tokens/explainer_validation.arrow",
        summary="results/tokens/summary.tsv",
    log:
        "logs/tokenize_sequences.log",
    benchmark:
        "benchmarks/tokenize_sequences.tsv"
    conda:
        "../../envs/tokenize_sequences.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime=minutes(120),
    params:
        ranks=RANKS,
        tokenizer=config["tokenizer"],
        backbone=lambda wildcards, input: (
            f"--backbone {input.backbone}" if input.backbone else ""
        ),
        settings=settings("sequences"),
    shell:
        'python "$WHATYOUREAD/scripts/tokenize_sequences.py" --dataset {input.dataset}'
        " --tokenizer {params.tokenizer:q} {params.backbone} --sequence-settings {params.settings:q}"
        " --sequences {input.sequences} --splits {input.splits} --ranks {params.ranks:q}"
        " --train {output.train} --validation {output.validation} --test {output.test}"
        " --explainer-train {output.explainer_train}"
        " --explainer-validation {output.explainer_validation} --summary {output.summary}"
        " --log {log}"


# Another division into training and validation, for the classifiers of further runs; with
# `runs.divide: all` the test sequences and those of the Explainers are others, too.
rule resplit_tokens:
    input:
        train="results/tokens/train.arrow",
        validation="results/tokens/validation.arrow",
        whole=if_divided_anew(
            expand("results/tokens/{split}.arrow", split=SPLITS_DIVIDED_ANEW)
        ),
        splits=lambda wildcards: (
            []
            if config["split"]["group_by"] == "none"
            else ["results/split/splits.parquet"]
        ),
    output:
        train="results/tokens/{run}/train.arrow",
        validation="results/tokens/{run}/validation.arrow",
        whole=if_divided_anew(
            [f"results/tokens/{{run}}/{split}.arrow" for split in SPLITS_DIVIDED_ANEW]
        ),
    log:
        "logs/resplit_tokens/{run}.log",
    wildcard_constraints:
        run=one_of(CLASSIFIERS[1:]),
    conda:
        "../../envs/resplit_tokens.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        ranks=RANKS,
        seed=run_seed,
        splits=lambda wildcards, input: option("--splits", input.splits),
        whole=lambda wildcards, input: option("--whole", input.whole),
        new_whole=lambda wildcards, output: option("--new-whole", output.whole),
    shell:
        'python "$WHATYOUREAD/scripts/resplit_tokens.py" --train {input.train}'
        " --validation {input.validation} {params.splits} --ranks {params.ranks:q} --seed {params.seed}"
        " {params.whole} --new-train {output.train} --new-validation {output.validation}"
        " {params.new_whole} --log {log}"
