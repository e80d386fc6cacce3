# From the archive to labelled, split and tokenized sequences.


rule label_taxonomy:
    input:
        dataset="resources/dataset",
        taxdump="resources/taxdump",
        paper=PAPER / "dataset.tsv",
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
        mem_mb=4000,
        runtime=120,
    params:
        ranks=RANKS,
    shell:
        'python "$SCRIPTS/label_taxonomy.py" --dataset {input.dataset} --taxdump {input.taxdump}'
        " --paper {input.paper:q} --ranks {params.ranks} --labels {output.labels}"
        " --classes {output.classes} --summary {output.summary} --sequences {output.sequences}"
        " --log {log}"


rule split_dataset:
    input:
        labels="results/taxonomy/labels.tsv",
        classes="results/taxonomy/classes.tsv",
        sequences="results/taxonomy/sequences.parquet",
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
        mem_mb=4000,
        runtime=60,
    params:
        ranks=RANKS,
        settings=settings("split"),
        seed=config["seed"],
    shell:
        'python "$SCRIPTS/split_dataset.py" --sequences {input.sequences} --labels {input.labels}'
        " --classes {input.classes} --ranks {params.ranks} --settings {params.settings:q}"
        " --seed {params.seed} --splits {output.splits} --summary {output.summary} --log {log}"


rule tokenize_sequences:
    input:
        dataset="resources/dataset",
        sequences="results/taxonomy/sequences.parquet",
        splits="results/split/splits.parquet",
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
        mem_mb=4000,
        runtime=120,
    params:
        ranks=RANKS,
        part=part_option,
    shell:
        'python "$SCRIPTS/tokenize_sequences.py" --dataset {input.dataset}'
        " --sequences {input.sequences} --splits {input.splits} --ranks {params.ranks}"
        " --train {output.train} --validation {output.validation} --test {output.test}"
        " --explainer-train {output.explainer_train}"
        " --explainer-validation {output.explainer_validation} --summary {output.summary}"
        " {params.part} --log {log}"
