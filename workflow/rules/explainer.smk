# The network that makes the masks, and what its loss is worth.


rule train_explainer:
    input:
        explanandum="results/explanandum/model.safetensors",
        config="results/explanandum/config.json",
        train="results/tokens/explainer_train.arrow",
        validation="results/tokens/explainer_validation.arrow",
    output:
        weights="results/explainer/model.safetensors",
        config="results/explainer/config.json",
        history="results/explainer/history.tsv",
        record="results/explainer/run.json",
    log:
        "logs/train_explainer.log",
    benchmark:
        "benchmarks/train_explainer.tsv"
    # before the further runs: nearly everything waits for this one
    priority: 10
    conda:
        "../../envs/train_explainer.yaml"
    threads: 8
    resources:
        gpu=number_of_gpus("explainer"),
        gpu_jobs=1,
        mem_mb=32000,
        runtime=2880,
    params:
        launcher=launcher("explainer"),
        settings=explainer_settings(VARIANT),
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        folder=subpath(output.weights, parent=True),
        checkpoints="checkpoints/explainer",
    shell:
        '{params.launcher} "$SCRIPTS/train_explainer.py" --explanandum {params.explanandum}'
        " --train {input.train} --validation {input.validation} --settings {params.settings:q}"
        " --seed {params.seed} --threads {threads} --checkpoints {params.checkpoints}"
        " --output-dir {params.folder} --log {log}"


rule compare_losses:
    input:
        explanandum="results/explanandum/model.safetensors",
        explainer="results/explainer/model.safetensors",
        train="results/tokens/explainer_train.arrow",
        validation="results/tokens/explainer_validation.arrow",
    output:
        losses="results/explainer/losses.tsv",
        positions="results/explainer/baselines_by_position.tsv",
    log:
        "logs/compare_losses.log",
    benchmark:
        "benchmarks/compare_losses.tsv"
    conda:
        "../../envs/compare_losses.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=16000,
        runtime=240,
    params:
        objective=json.dumps(config["explainer"]["objective"], sort_keys=True),
        settings=settings("baselines"),
        batch_size=config["explainer"]["batch_size"],
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        explainer=subpath(input.explainer, parent=True),
    shell:
        'python "$SCRIPTS/compare_losses.py" --explanandum {params.explanandum}'
        " --explainer {params.explainer} --train {input.train} --validation {input.validation}"
        " --objective {params.objective:q} --settings {params.settings:q}"
        " --batch-size {params.batch_size} --seed {params.seed} --threads {threads}"
        " --losses {output.losses} --positions {output.positions} --log {log}"
