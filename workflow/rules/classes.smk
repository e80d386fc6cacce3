# What speaks for a class as a whole: tokens, k-mers or words that are the same over several runs.


rule score_classes:
    input:
        explanandum=explanandum_of_run,
        explainer=explainer_of_source,
        gate=gate_of_source,
        test=tokens_of_run("test"),
        dataset=if_words("resources/dataset"),
    output:
        selections="results/classes/{run}/{source}.parquet",
        documents=if_words("results/classes/{run}/{source}_documents.parquet"),
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
        mem_mb=memory(16000),
        runtime=minutes(720),
    params:
        settings=selection_settings,
        batch_size=config["evaluation"]["batch_size"],
        seed=run_seed,
        explanandum=subpath(input.explanandum, parent=True),
        explainer=lambda wildcards, input: option(
            "--explainer", folders(input.explainer)
        ),
        texts=texts_options,
        documents=lambda wildcards, output: option("--documents", output.documents),
    shell:
        'python "$WHATYOUREAD/scripts/score_classes.py" --run {wildcards.run}'
        " --source {wildcards.source} --explanandum {params.explanandum} {params.explainer}"
        " --test {input.test} --settings {params.settings:q} --batch-size {params.batch_size}"
        " --seed {params.seed} --threads {threads} {params.texts}"
        " --selections {output.selections} {params.documents} --log {log}"


rule explain_classes:
    input:
        selections=class_selections,
        classes="results/taxonomy/classes.tsv",
        planted=if_simulated("resources/simulated/planted.parquet"),
        test=if_simulated("results/tokens/test.arrow"),
        keywords=if_simulated_words("resources/simulated/keywords.tsv"),
    output:
        table="results/class_explanations.tsv",
        summary="results/class_explanations_summary.tsv",
        null="results/class_explanations_null.tsv",
        stability="results/class_explanations_stability.tsv",
        agreement="results/class_explanations_agreement.tsv",
        motifs=if_kmers("results/class_explanations.meme"),
        planted=[
            *if_simulated("results/class_explanations_planted.tsv"),
            *if_simulated_words("results/class_explanations_planted.tsv"),
        ],
    log:
        "logs/explain_classes.log",
    benchmark:
        "benchmarks/explain_classes.tsv"
    conda:
        "../../envs/explain_classes.yaml"
    resources:
        mem_mb=memory(16000),
        runtime=minutes(120),
    params:
        ranks=RANKS,
        settings=stability_settings,
        seed=config["seed"],
        motifs=lambda wildcards, output: option("--motifs", output.motifs),
        planted=lambda wildcards, input: option("--planted", input.planted),
        test=lambda wildcards, input: option("--test", input.test),
        keywords=lambda wildcards, input: option("--keywords", input.keywords),
        table=lambda wildcards, output: option("--planted-table", output.planted),
    shell:
        'python "$WHATYOUREAD/scripts/explain_classes.py" --selections {input.selections}'
        " --classes {input.classes} --ranks {params.ranks:q} --settings {params.settings:q}"
        " --seed {params.seed} --table {output.table} --summary {output.summary}"
        " --null {output.null} --stability {output.stability} --agreement {output.agreement}"
        " {params.motifs} {params.planted} {params.test} {params.keywords} {params.table} --log {log}"


rule marginalize_motifs:
    input:
        table="results/class_explanations.tsv",
        classes="results/taxonomy/classes.tsv",
        explanandum="results/explanandum/0/model.safetensors",
        test="results/tokens/test.arrow",
    output:
        effects="results/motif_effects.tsv",
    log:
        "logs/marginalize_motifs.log",
    benchmark:
        "benchmarks/marginalize_motifs.tsv"
    conda:
        "../../envs/marginalize_motifs.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(240),
    params:
        settings=json.dumps(config["class_explanations"]["marginalize"], sort_keys=True),
        resamples=config["faithfulness"]["resamples"],
        batch_size=config["evaluation"]["batch_size"],
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
    shell:
        'python "$WHATYOUREAD/scripts/marginalize_motifs.py" --table {input.table}'
        " --classes {input.classes} --explanandum {params.explanandum} --test {input.test}"
        " --settings {params.settings:q} --resamples {params.resamples}"
        " --batch-size {params.batch_size} --seed {params.seed} --threads {threads}"
        " --effects {output.effects} --log {log}"
