# The Explainers beside other methods: scores per token, their faithfulness, and what they cost.


rule sample_sequences:
    input:
        test="results/tokens/test.arrow",
    output:
        sequences="results/attributions/sequences.arrow",
        substituted="results/attributions/substituted.arrow",
    log:
        "logs/sample_sequences.log",
    conda:
        "../../envs/sample_sequences.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
        size=config["attributions"]["sequences"],
        again=config["attributions"]["again"],
        seed=config["seed"],
        whole="--whole-texts" if "positions" in config and IN_WINDOWS else "",
    shell:
        'python "$WHATYOUREAD/scripts/sample_sequences.py" --test {input.test}'
        " --ranks {params.ranks:q} --size {params.size} --again {params.again} --seed {params.seed}"
        " {params.whole} --sequences {output.sequences} --substituted {output.substituted} --log {log}"


rule attribute_tokens:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        explainer=explainer_of_method,
        gate=gate_of_method,
        file=file_of_method,
        sequences="results/attributions/sequences.arrow",
        substituted="results/attributions/substituted.arrow",
    output:
        scores="results/attributions/{method}.parquet",
        cost="results/attributions/{method}.json",
    log:
        "logs/attribute_tokens/{method}.log",
    benchmark:
        "benchmarks/attribute_tokens/{method}.tsv"
    conda:
        "../../envs/attribute_tokens.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(720),
    params:
        settings=method_settings,
        batch_size=config["evaluation"]["batch_size"],
        precision=config["evaluation"]["precision"],
        compile=COMPILE,
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        explainer=lambda wildcards, input: option(
            "--explainer", folders(input.explainer)
        ),
    shell:
        'python "$WHATYOUREAD/scripts/attribute_tokens.py" --method {wildcards.method}'
        " --settings {params.settings:q} --explanandum {params.explanandum} {params.explainer}"
        " --sequences {input.sequences} --substituted {input.substituted}"
        " --batch-size {params.batch_size} --precision {params.precision} {params.compile}"
        " --seed {params.seed} --threads {threads} --scores {output.scores} --cost {output.cost}"
        " --log {log}"


rule measure_faithfulness:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        sequences="results/attributions/sequences.arrow",
        scores="results/attributions/{method}.parquet",
        planted=known_positions(),
        explainers=other_explainers,
        gates=other_gates,
        explananda=other_explananda,
    output:
        table="results/faithfulness/{method}.tsv",
    log:
        "logs/measure_faithfulness/{method}.log",
    benchmark:
        "benchmarks/measure_faithfulness/{method}.tsv"
    conda:
        "../../envs/measure_faithfulness.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(240),
    params:
        settings=settings("faithfulness"),
        batch_size=config["evaluation"]["batch_size"],
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        planted=lambda wildcards, input: option("--planted", input.planted),
        # pairs: each Explainer with the classifier that it was trained for
        explainers=lambda wildcards, input: option(
            "--other-explainers", folders(input.explainers)
        ),
        explananda=lambda wildcards, input: option(
            "--other-explananda", folders(input.explananda)
        ),
    shell:
        'python "$WHATYOUREAD/scripts/measure_faithfulness.py" --method {wildcards.method}'
        " --attributions {input.scores} --sequences {input.sequences}"
        " --explanandum {params.explanandum} {params.planted} {params.explainers}"
        " {params.explananda} --settings {params.settings:q} --batch-size {params.batch_size}"
        " --seed {params.seed} --threads {threads} --table {output.table} --log {log}"


rule compare_methods:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        sequences="results/attributions/sequences.arrow",
        scores=expand("results/attributions/{method}.parquet", method=METHODS),
        costs=expand("results/attributions/{method}.json", method=METHODS),
        faithfulness=expand("results/faithfulness/{method}.tsv", method=METHODS),
    output:
        faithfulness="results/faithfulness.tsv",
        comparison="results/comparison.tsv",
        curves="results/comparison_curves.tsv",
        markdown="results/comparison.md",
    log:
        "logs/compare_methods.log",
    benchmark:
        "benchmarks/compare_methods.tsv"
    conda:
        "../../envs/compare_methods.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(240),
    params:
        main=f"explainer_{MAIN}",
        explainers=EXPLAINER_METHODS,
        batch_size=config["evaluation"]["batch_size"],
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
    shell:
        'python "$WHATYOUREAD/scripts/compare_methods.py" --faithfulness {input.faithfulness}'
        " --attributions {input.scores} --costs {input.costs} --sequences {input.sequences}"
        " --explanandum {params.explanandum} --explainer {params.main}"
        " --explainers {params.explainers} --batch-size {params.batch_size} --seed {params.seed}"
        " --threads {threads} --faithfulness-table {output.faithfulness}"
        " --comparison {output.comparison} --curves {output.curves} --markdown {output.markdown}"
        " --log {log}"


rule measure_steering:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        sequences="results/attributions/sequences.arrow",
        scores=expand("results/attributions/{method}.parquet", method=METHODS),
        judge=JUDGE,
    output:
        table="results/steering.tsv",
        differences="results/steering_differences.tsv",
        markdown="results/steering.md",
    log:
        "logs/measure_steering.log",
    benchmark:
        "benchmarks/measure_steering.tsv"
    conda:
        "../../envs/measure_steering.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(240),
    params:
        explainers=EXPLAINER_METHODS,
        resamples=config["faithfulness"]["resamples"],
        batch_size=config["evaluation"]["batch_size"],
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        judge=lambda wildcards, input: option("--judge", folders(input.judge)),
    shell:
        'python "$WHATYOUREAD/scripts/measure_steering.py" --attributions {input.scores}'
        " --sequences {input.sequences} --explanandum {params.explanandum} {params.judge}"
        " --explainers {params.explainers} --resamples {params.resamples}"
        " --batch-size {params.batch_size} --seed {params.seed} --threads {threads}"
        " --table {output.table} --differences {output.differences} --markdown {output.markdown}"
        " --log {log}"


rule score_evidence:
    input:
        sequences="results/attributions/sequences.arrow",
        scores=expand("results/attributions/{method}.parquet", method=METHODS),
        planted=known_positions(),
        test=["results/tokens/test.arrow"] if IN_WINDOWS else [],
    output:
        values="results/evidence_values.parquet",
        table="results/evidence.tsv",
        markdown="results/evidence.md",
    log:
        "logs/score_evidence.log",
    localrule: True
    conda:
        "../../envs/score_evidence.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60),
    params:
        test=lambda wildcards, input: option("--test", input.test),
        masks=EXPLAINER_METHODS,
        ranks=RANKS,
        resamples=config["faithfulness"]["resamples"],
        seed=config["seed"],
    shell:
        'python "$WHATYOUREAD/scripts/score_evidence.py" --attributions {input.scores}'
        " --sequences {input.sequences} --planted {input.planted} {params.test}"
        " --masks {params.masks} --ranks {params.ranks:q} --resamples {params.resamples}"
        " --seed {params.seed}"
        " --values {output.values} --table {output.table} --markdown {output.markdown} --log {log}"
