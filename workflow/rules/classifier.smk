# The classifier that is trained to be explained.


rule train_explanandum:
    input:
        backbone="resources/backbone",
        classes="results/taxonomy/classes.tsv",
        train=tokens_of_run("train"),
        validation=tokens_of_run("validation"),
    output:
        weights="results/explanandum/{run}/model.safetensors",
        config="results/explanandum/{run}/config.json",
        history="results/explanandum/{run}/history.tsv",
        record="results/explanandum/{run}/run.json",
    log:
        "logs/train_explanandum/{run}.log",
    benchmark:
        "benchmarks/train_explanandum/{run}.tsv"
    wildcard_constraints:
        run=one_of(CLASSIFIERS),
    conda:
        "../../envs/train_explanandum.yaml"
    threads: training_threads
    resources:
        gpu=gpus,
        gpu_jobs=1,
        mem_mb=training_memory,
        runtime=DAY,
    params:
        launcher=launcher,
        settings=settings("explanandum"),
        seed=run_seed,
        folder=subpath(output.weights, parent=True),
        checkpoints=placed("checkpoints/explanandum/{run}"),
    shell:
        '{params.launcher} "$WHATYOUREAD/scripts/train_explanandum.py" --backbone {input.backbone}'
        " --classes {input.classes} --train {input.train} --validation {input.validation}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads}"
        " --checkpoints {params.checkpoints} --output-dir {params.folder} --log {log}"
