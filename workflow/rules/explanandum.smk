# The classifier that is to be explained.


rule train_explanandum:
    input:
        backbone="resources/backbone",
        classes="results/taxonomy/classes.tsv",
        train="results/tokens/train.arrow",
        validation="results/tokens/validation.arrow",
    output:
        weights="results/explanandum/model.safetensors",
        config="results/explanandum/config.json",
        history="results/explanandum/history.tsv",
        record="results/explanandum/run.json",
    log:
        "logs/train_explanandum.log",
    benchmark:
        "benchmarks/train_explanandum.tsv"
    conda:
        "../../envs/train_explanandum.yaml"
    threads: 8
    resources:
        gpu=number_of_gpus("explanandum"),
        gpu_jobs=1,
        mem_mb=32000,
        runtime=4320,
    params:
        launcher=launcher("explanandum"),
        settings=settings("explanandum"),
        seed=config["seed"],
        folder=subpath(output.weights, parent=True),
        checkpoints="checkpoints/explanandum",
    shell:
        '{params.launcher} "$SCRIPTS/train_explanandum.py" --backbone {input.backbone}'
        " --classes {input.classes} --train {input.train} --validation {input.validation}"
        " --settings {params.settings:q} --seed {params.seed} --threads {threads}"
        " --checkpoints {params.checkpoints} --output-dir {params.folder} --log {log}"


rule check_blank:
    input:
        weights="results/explanandum/model.safetensors",
        config="results/explanandum/config.json",
        validation="results/tokens/validation.arrow",
        classes="results/taxonomy/classes.tsv",
    output:
        probabilities="results/explanandum/blank.tsv",
        summary="results/explanandum/blank_summary.tsv",
    log:
        "logs/check_blank.log",
    conda:
        "../../envs/check_blank.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        folder=subpath(input.weights, parent=True),
        sequences=config["blank"]["sequences"],
        min_entropy=config["blank"]["min_entropy"],
    shell:
        'python "$SCRIPTS/check_blank.py" --explanandum {params.folder}'
        " --validation {input.validation} --classes {input.classes}"
        " --sequences {params.sequences} --min-entropy {params.min_entropy} --threads {threads}"
        " --probabilities {output.probabilities} --summary {output.summary} --log {log}"
