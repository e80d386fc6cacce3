# More models of the same kind, for what must not hang on one: other seeds, or other splits. Run 0 is
# that of the other rules.


rule resplit_tokens:
    input:
        train="results/tokens/train.arrow",
        validation="results/tokens/validation.arrow",
    output:
        train="results/runs/{run}/tokens/train.arrow",
        validation="results/runs/{run}/tokens/validation.arrow",
    log:
        "logs/resplit_tokens/{run}.log",
    conda:
        "../../envs/resplit_tokens.yaml"
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        ranks=RANKS,
        seed=run_seed,
    shell:
        'python "$SCRIPTS/resplit_tokens.py" --train {input.train} --validation {input.validation}'
        " --ranks {params.ranks} --seed {params.seed} --new-train {output.train}"
        " --new-validation {output.validation} --log {log}"


use rule train_explanandum as retrain_explanandum with:
    input:
        backbone="resources/backbone",
        classes="results/taxonomy/classes.tsv",
        train="results/runs/{run}/tokens/train.arrow",
        validation="results/runs/{run}/tokens/validation.arrow",
    output:
        weights="results/runs/{run}/explanandum/model.safetensors",
        config="results/runs/{run}/explanandum/config.json",
        history="results/runs/{run}/explanandum/history.tsv",
        record="results/runs/{run}/explanandum/run.json",
    log:
        "logs/retrain_explanandum/{run}.log",
    benchmark:
        "benchmarks/retrain_explanandum/{run}.tsv"
    params:
        launcher=launcher("explanandum"),
        settings=settings("explanandum"),
        seed=run_seed,
        folder=subpath(output.weights, parent=True),
        checkpoints="checkpoints/runs/{run}/explanandum",


use rule train_explainer as retrain_explainer with:
    input:
        explanandum=explanandum_of_run,
        config="results/explanandum/config.json",
        train="results/tokens/explainer_train.arrow",
        validation="results/tokens/explainer_validation.arrow",
    output:
        weights="results/runs/{run}/explainer/model.safetensors",
        config="results/runs/{run}/explainer/config.json",
        history="results/runs/{run}/explainer/history.tsv",
        record="results/runs/{run}/explainer/run.json",
    log:
        "logs/retrain_explainer/{run}.log",
    benchmark:
        "benchmarks/retrain_explainer/{run}.tsv"
    priority: 0
    params:
        launcher=launcher("explainer"),
        settings=explainer_settings(VARIANT),
        seed=run_seed,
        explanandum=subpath(input.explanandum, parent=True),
        folder=subpath(output.weights, parent=True),
        checkpoints="checkpoints/runs/{run}/explainer",
