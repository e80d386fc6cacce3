# What the classes as a whole are read by: tokens and k-mers that stay the same over several runs.


rule score_classes:
    input:
        explanandum=explanandum_of_run,
        explainer=explainer_of_run,
        test="results/tokens/test.arrow",
    output:
        selections="results/classes/{run}/{source}.parquet",
    log:
        "logs/score_classes/{run}_{source}.log",
    benchmark:
        "benchmarks/score_classes/{run}_{source}.tsv"
    conda:
        "../../envs/score_classes.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=16000,
        runtime=720,
    params:
        settings=settings("class_explanations"),
        batch_size=config["evaluation"]["batch_size"],
        seed=run_seed,
        explanandum=subpath(input.explanandum, parent=True),
        explainer=subpath(input.explainer, parent=True),
    shell:
        'python "$SCRIPTS/score_classes.py" --run {wildcards.run} --source {wildcards.source}'
        " --explanandum {params.explanandum} --explainer {params.explainer} --test {input.test}"
        " --settings {params.settings:q} --batch-size {params.batch_size} --seed {params.seed}"
        " --threads {threads} --selections {output.selections} --log {log}"


rule explain_classes:
    input:
        selections=expand(
            "results/classes/{run}/{source}.parquet", run=RUNS, source=CLASS_SOURCES
        ),
        classes="results/taxonomy/classes.tsv",
        planted=if_simulated("resources/simulated/planted.parquet"),
        test=if_simulated("results/tokens/test.arrow"),
    output:
        table="results/class_explanations.tsv",
        summary="results/class_explanations_summary.tsv",
        null="results/class_explanations_null.tsv",
        motifs="results/class_explanations.meme",
        planted=if_simulated("results/class_explanations_planted.tsv"),
    log:
        "logs/explain_classes.log",
    benchmark:
        "benchmarks/explain_classes.tsv"
    conda:
        "../../envs/explain_classes.yaml"
    resources:
        mem_mb=16000,
        runtime=120,
    params:
        ranks=RANKS,
        settings=settings("class_explanations"),
        seed=config["seed"],
        planted=planted_options,
    shell:
        'python "$SCRIPTS/explain_classes.py" --selections {input.selections}'
        " --classes {input.classes} --ranks {params.ranks} --settings {params.settings:q}"
        " --seed {params.seed} --table {output.table} --summary {output.summary}"
        " --null {output.null} --motifs {output.motifs} {params.planted} --log {log}"
