# What the masks are worth: Table 1, its controls, and the truth where it is known.


rule predict_masked:
    input:
        explanandum="results/explanandum/model.safetensors",
        test="results/tokens/test.arrow",
        masks="results/masks/test.parquet",
    output:
        predictions="results/predictions.parquet",
    log:
        "logs/predict_masked.log",
    benchmark:
        "benchmarks/predict_masked.tsv"
    conda:
        "../../envs/predict_masked.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=16000,
        runtime=720,
    params:
        batch_size=config["evaluation"]["batch_size"],
        precision=config["evaluation"]["precision"],
        compile=COMPILE,
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        part=part_option,
    shell:
        'python "$SCRIPTS/predict_masked.py" --explanandum {params.explanandum}'
        " --test {input.test} --masks {input.masks} --batch-size {params.batch_size}"
        " --precision {params.precision} {params.compile} --seed {params.seed} --threads {threads}"
        " {params.part} --predictions {output.predictions} --log {log}"


rule evaluate_masks:
    input:
        predictions="results/predictions.parquet",
        masks="results/masks/test.parquet",
        paper=PAPER / "table1.tsv",
    output:
        table="results/table1.tsv",
        markdown="results/table1.md",
        controls="results/table1_controls.tsv",
    log:
        "logs/evaluate_masks.log",
    localrule: True
    conda:
        "../../envs/evaluate_masks.yaml"
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        ranks=RANKS,
    shell:
        'python "$SCRIPTS/evaluate_masks.py" --predictions {input.predictions}'
        " --masks {input.masks} --paper {input.paper:q} --ranks {params.ranks}"
        " --table {output.table} --markdown {output.markdown} --controls {output.controls}"
        " --log {log}"


rule localize_masks:
    input:
        test="results/tokens/test.arrow",
        masks="results/masks/test.parquet",
        planted="resources/simulated/planted.parquet",
    output:
        table="results/localization.tsv",
    log:
        "logs/localize_masks.log",
    conda:
        "../../envs/localize_masks.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        ranks=RANKS,
        seed=config["seed"],
    shell:
        'python "$SCRIPTS/localize_masks.py" --test {input.test} --masks {input.masks}'
        " --planted {input.planted} --ranks {params.ranks} --seed {params.seed}"
        " --table {output.table} --log {log}"


rule record_run:
    input:
        dataset="resources/dataset.json",
        taxdump="resources/taxdump.json",
        backbone="resources/backbone.json",
        explanandum="results/explanandum/run.json",
        explainer="results/explainer/run.json",
        variants=expand(
            "results/variants/{variant}/runs/0/explainer/run.json", variant=OTHERS
        ),
        table="results/table1.tsv",
    output:
        record="results/run.json",
    log:
        "logs/record_run.log",
    localrule: True
    conda:
        "../../envs/record_run.yaml"
    params:
        config=json.dumps(config, sort_keys=True, default=str),
    shell:
        'python "$SCRIPTS/record_run.py" --config {params.config:q} --records {input.dataset}'
        " {input.taxdump} {input.backbone} {input.explanandum} {input.explainer} {input.variants}"
        " --results {input.table} --output {output.record} --log {log}"
