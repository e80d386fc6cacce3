# The classifier that is explained, and the Explainers: their training, and what their losses are worth.


rule check_blank:
    input:
        weights="results/explanandum/0/model.safetensors",
        config="results/explanandum/0/config.json",
        validation="results/tokens/validation.arrow",
        classes="results/taxonomy/classes.tsv",
    output:
        probabilities="results/explanandum/0/blank.tsv",
        summary="results/explanandum/0/blank_summary.tsv",
    log:
        "logs/check_blank.log",
    conda:
        "../../envs/check_blank.yaml"
    threads: 2
    resources:
        mem_mb=memory(8000),
        runtime=minutes(30),
    params:
        folder=subpath(input.weights, parent=True),
        sequences=config["blank"]["sequences"],
        min_entropy=config["blank"]["min_entropy"],
        seed=config["seed"],
    shell:
        'python "$WHATYOUREAD/scripts/check_blank.py" --explanandum {params.folder}'
        " --validation {input.validation} --classes {input.classes}"
        " --sequences {params.sequences} --min-entropy {params.min_entropy} --seed {params.seed}"
        " --threads {threads} --probabilities {output.probabilities} --summary {output.summary} --log {log}"


rule train_judge:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        train="results/tokens/explainer_train.arrow",
        validation="results/tokens/explainer_validation.arrow",
    output:
        weights="results/judge/model.safetensors",
        config="results/judge/config.json",
        history="results/judge/history.tsv",
        record="results/judge/run.json",
    log:
        "logs/train_judge.log",
    benchmark:
        "benchmarks/train_judge.tsv"
    conda:
        "../../envs/train_judge.yaml"
    threads: training_threads
    resources:
        gpu=gpus,
        gpu_jobs=1,
        mem_mb=training_memory,
        runtime=DAY,
    params:
        launcher=launcher,
        settings=judge_settings,
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        folder=subpath(output.weights, parent=True),
        checkpoints=placed("checkpoints/judge"),
    shell:
        '{params.launcher} "$WHATYOUREAD/scripts/train_judge.py"'
        " --explanandum {params.explanandum} --train {input.train}"
        " --validation {input.validation} --settings {params.settings:q} --seed {params.seed}"
        " --threads {threads} --checkpoints {params.checkpoints} --output-dir {params.folder}"
        " --log {log}"


rule train_explainer:
    input:
        explanandum=explanandum_of_run,
        train=tokens_of_run("explainer_train"),
        validation=tokens_of_run("explainer_validation"),
        judge=judge_of_explainer,
    output:
        weights="results/explainers/{explainer}/{run}/model.safetensors",
        config="results/explainers/{explainer}/{run}/config.json",
        history="results/explainers/{explainer}/{run}/history.tsv",
        record="results/explainers/{explainer}/{run}/run.json",
    log:
        "logs/train_explainer/{explainer}_{run}.log",
    benchmark:
        "benchmarks/train_explainer/{explainer}_{run}.tsv"
    # nearly everything waits for the Explainers
    priority: 10
    conda:
        "../../envs/train_explainer.yaml"
    threads: training_threads
    resources:
        gpu=gpus,
        gpu_jobs=1,
        mem_mb=training_memory,
        runtime=DAY,
    params:
        launcher=launcher,
        settings=explainer_settings,
        seed=run_seed,
        explanandum=subpath(input.explanandum, parent=True),
        folder=subpath(output.weights, parent=True),
        checkpoints=placed("checkpoints/explainers/{explainer}/{run}"),
        judge=lambda wildcards, input: option("--judge", folders(input.judge)),
    shell:
        '{params.launcher} "$WHATYOUREAD/scripts/train_explainer.py"'
        " --explanandum {params.explanandum} {params.judge} --train {input.train}"
        " --validation {input.validation} --settings {params.settings:q} --seed {params.seed}"
        " --threads {threads} --checkpoints {params.checkpoints} --output-dir {params.folder}"
        " --log {log}"


# Another area needs new masks, and no new Explainer.
rule set_gate:
    output:
        gate="results/explainers/{explainer}/{run}/gate.json",
    log:
        "logs/set_gate/{explainer}_{run}.log",
    localrule: True
    conda:
        "../../envs/set_gate.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        settings=gate_settings,
    shell:
        'python "$WHATYOUREAD/scripts/set_gate.py" --settings {params.settings:q}'
        " --gate {output.gate} --log {log}"


# With these two the folder of an Explainer stands by itself. No outputs of the training, which older
# versions have done without them.
rule record_classifier:
    input:
        explanandum=explanandum_of_run,
        config=lambda wildcards: (
            str(Path(explanandum_of_run(wildcards)).with_name("config.json"))
        ),
        classes="results/taxonomy/classes.tsv",
        train=tokens_of_run("explainer_train"),
    output:
        classes="results/explainers/{explainer}/{run}/classes.tsv",
        classifier="results/explainers/{explainer}/{run}/classifier.json",
    log:
        "logs/record_classifier/{explainer}_{run}.log",
    localrule: True
    conda:
        "../../envs/record_classifier.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        explanandum=subpath(input.explanandum, parent=True),
        folder=subpath(output.classes, parent=True),
        alphabet=config["sequences"]["alphabet"],
    shell:
        'python "$WHATYOUREAD/scripts/record_classifier.py" --explainer {params.folder}'
        " --explanandum {params.explanandum} --classes {input.classes} --train {input.train}"
        " --alphabet {params.alphabet} --log {log}"


rule compare_losses:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        explainer="results/explainers/{explainer}/0/model.safetensors",
        train="results/tokens/explainer_train.arrow",
        validation="results/tokens/explainer_validation.arrow",
    output:
        losses="results/explainers/{explainer}/losses.tsv",
        positions="results/explainers/{explainer}/baselines_by_position.tsv",
    log:
        "logs/compare_losses/{explainer}.log",
    benchmark:
        "benchmarks/compare_losses/{explainer}.tsv"
    wildcard_constraints:
        explainer=one_of(WITH_PAPERS_LOSS),
    conda:
        "../../envs/compare_losses.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(240),
    params:
        objective=objective_settings,
        settings=settings("baselines"),
        batch_size=lambda wildcards: EXPLAINERS[wildcards.explainer]["batch_size"],
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        explainer=subpath(input.explainer, parent=True),
    shell:
        'python "$WHATYOUREAD/scripts/compare_losses.py" --explanandum {params.explanandum}'
        " --explainer {params.explainer} --train {input.train} --validation {input.validation}"
        " --objective {params.objective:q} --settings {params.settings:q}"
        " --batch-size {params.batch_size} --seed {params.seed} --threads {threads}"
        " --losses {output.losses} --positions {output.positions} --log {log}"
