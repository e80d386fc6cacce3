# The masks of the test sequences by the Explainers of run 0, and what they are worth: Table 1, its
# controls, and the truth where it is known.


rule generate_masks:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        explainer="results/explainers/{explainer}/0/model.safetensors",
        gate=gate_of_main_run,
        test="results/tokens/test.arrow",
    output:
        masks=temp("results/explainers/{explainer}/parts/{part}/masks.parquet"),
    log:
        "logs/generate_masks/{explainer}_{part}.log",
    benchmark:
        "benchmarks/generate_masks/{explainer}_{part}.tsv"
    conda:
        "../../envs/generate_masks.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(240),
    params:
        batch_size=config["evaluation"]["batch_size"],
        precision=config["evaluation"]["precision"],
        compile=COMPILE,
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        explainer=subpath(input.explainer, parent=True),
    shell:
        'python "$WHATYOUREAD/scripts/generate_masks.py" --explanandum {params.explanandum}'
        " --explainer {params.explainer} --test {input.test} --batch-size {params.batch_size}"
        " --precision {params.precision} {params.compile} --seed {params.seed} --threads {threads}"
        " --part {wildcards.part} --masks {output.masks} --log {log}"


rule predict_masked:
    input:
        explanandum="results/explanandum/0/model.safetensors",
        test="results/tokens/test.arrow",
        # of all parts: a control takes the masks of other sequences
        masks="results/explainers/{explainer}/masks.parquet",
    output:
        predictions=temp(
            "results/explainers/{explainer}/parts/{part}/predictions.parquet"
        ),
    log:
        "logs/predict_masked/{explainer}_{part}.log",
    benchmark:
        "benchmarks/predict_masked/{explainer}_{part}.tsv"
    conda:
        "../../envs/predict_masked.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=minutes(720),
    params:
        batch_size=config["evaluation"]["batch_size"],
        precision=config["evaluation"]["precision"],
        compile=COMPILE,
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
    shell:
        'python "$WHATYOUREAD/scripts/predict_masked.py" --explanandum {params.explanandum}'
        " --test {input.test} --masks {input.masks} --batch-size {params.batch_size}"
        " --precision {params.precision} {params.compile} --seed {params.seed} --threads {threads}"
        " --part {wildcards.part} --predictions {output.predictions} --log {log}"


rule gather_parts:
    input:
        parts=expand(
            "results/explainers/{{explainer}}/parts/{part}/{{table}}.parquet",
            part=PARTS,
        ),
    output:
        table="results/explainers/{explainer}/{table}.parquet",
    log:
        "logs/gather_parts/{explainer}_{table}.log",
    wildcard_constraints:
        table="masks|predictions",
    localrule: True
    conda:
        "../../envs/gather_parts.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    shell:
        'python "$WHATYOUREAD/scripts/gather_parts.py" --parts {input.parts}'
        " --table {output.table} --log {log}"


rule evaluate_masks:
    input:
        predictions="results/explainers/{explainer}/predictions.parquet",
        masks="results/explainers/{explainer}/masks.parquet",
    output:
        table="results/explainers/{explainer}/table1.tsv",
        markdown="results/explainers/{explainer}/table1.md",
        controls="results/explainers/{explainer}/controls.tsv",
    log:
        "logs/evaluate_masks/{explainer}.log",
    localrule: True
    conda:
        "../../envs/evaluate_masks.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
        paper=beside_paper("table1.tsv"),
    shell:
        'python "$WHATYOUREAD/scripts/evaluate_masks.py" --predictions {input.predictions}'
        " --masks {input.masks} {params.paper}"
        " --ranks {params.ranks:q} --table {output.table} --markdown {output.markdown}"
        " --controls {output.controls} --log {log}"


# Beside the model, so that the folder says what it is wherever it goes.
rule write_model_card:
    input:
        explainer=multiext(
            "results/explainers/{explainer}/{run}/",
            "model.safetensors",
            "run.json",
            "classes.tsv",
            "classifier.json",
        ),
        gate=gate_of_run,
        explanandum=explanandum_of_run,
        dataset="resources/dataset.json",
        taxdump=taxdump_record,
        backbone="resources/backbone.json",
        tokens="results/tokens/summary.tsv",
        table=if_measured("table1.tsv"),
        controls=if_measured("controls.tsv"),
    output:
        card="results/explainers/{explainer}/{run}/README.md",
    log:
        "logs/write_model_card/{explainer}_{run}.log",
    localrule: True
    conda:
        "../../envs/write_model_card.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        folder=subpath(output.card, parent=True),
        classifier=subpath(input.explanandum, parent=True),
        labels=config["labels"]["source"],
        simulated="--simulated" if "simulation" in config else "",
        taxdump=lambda wildcards, input: option("--taxdump", input.taxdump),
        table=lambda wildcards, input: option("--table", input.table),
        controls=lambda wildcards, input: option("--controls", input.controls),
    shell:
        'python "$WHATYOUREAD/scripts/write_model_card.py" --explainer {params.folder}'
        " --classifier {params.classifier} --name {wildcards.explainer} --dataset {input.dataset}"
        " {params.simulated} {params.taxdump} --backbone {input.backbone} --labels {params.labels:q}"
        " --tokens {input.tokens} {params.table} {params.controls} --card {output.card} --log {log}"


rule place_positions:
    input:
        positions=user_positions,
        dataset="resources/dataset",
        sequences="results/taxonomy/sequences.parquet",
        splits="results/split/splits.parquet",
    output:
        placed="results/positions.parquet",
        summary="results/positions.tsv",
    log:
        "logs/place_positions.log",
    localrule: True
    conda:
        "../../envs/place_positions.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        settings=settings("sequences"),
    shell:
        'python "$WHATYOUREAD/scripts/place_positions.py" --positions {input.positions:q}'
        " --dataset {input.dataset} --sequences {input.sequences} --splits {input.splits}"
        " --sequence-settings {params.settings:q} --placed {output.placed}"
        " --summary {output.summary} --log {log}"


rule localize_masks:
    input:
        test="results/tokens/test.arrow",
        masks="results/explainers/{explainer}/masks.parquet",
        planted=known_positions(),
    output:
        table="results/explainers/{explainer}/localization.tsv",
    log:
        "logs/localize_masks/{explainer}.log",
    conda:
        "../../envs/localize_masks.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60),
    params:
        ranks=RANKS,
        seed=config["seed"],
    shell:
        'python "$WHATYOUREAD/scripts/localize_masks.py" --test {input.test} --masks {input.masks}'
        " --planted {input.planted} --ranks {params.ranks:q} --seed {params.seed}"
        " --table {output.table} --log {log}"
