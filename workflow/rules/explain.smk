# Somebody's sequences, explained by the models of this run.


rule explain_sequences:
    input:
        models=sample_models,
        sequences=sample_sequences,
        annotation=sample_annotation,
        regions=sample_regions,
    output:
        *SAMPLE_OUTPUTS,
        page="results/explain/{sample}/index.html",
        predictions="results/explain/{sample}/{sample}.predictions.tsv",
        masks="results/explain/{sample}/{sample}.masks.parquet",
        summary="results/explain/{sample}/{sample}.summary.json",
    log:
        "logs/explain_sequences/{sample}.log",
    benchmark:
        "benchmarks/explain_sequences/{sample}.tsv"
    conda:
        "../../envs/explain_sequences.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=memory(16000),
        runtime=DAY,
    params:
        explainer=lambda wildcards, input: str(Path(input.models[0]).parent),
        annotation=lambda wildcards, input: [
            word for path in input.annotation for word in ("--annotation", path)
        ],
        options=sample_options,
        batch_size=config["evaluation"]["batch_size"],
        precision=config["evaluation"]["precision"],
        seed=config["seed"],
        folder=subpath(output.page, parent=True),
        work=placed("checkpoints/explain/{sample}"),
    shell:
        'python "$WHATYOUREAD/scripts/explain_sequences.py" --model {params.explainer}'
        " --fasta {input.sequences:q} {params.annotation:q} {params.options:q}"
        " --batch-size {params.batch_size} --precision {params.precision} --seed {params.seed}"
        " --threads {threads} --work-dir {params.work} --sample {wildcards.sample}"
        " --output-dir {params.folder} --log {log}"
