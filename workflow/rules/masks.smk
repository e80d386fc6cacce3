# The masks of the test sequences.


rule generate_masks:
    input:
        explanandum="results/explanandum/model.safetensors",
        explainer="results/explainer/model.safetensors",
        test="results/tokens/test.arrow",
    output:
        masks="results/masks/test.parquet",
    log:
        "logs/generate_masks.log",
    benchmark:
        "benchmarks/generate_masks.tsv"
    conda:
        "../../envs/generate_masks.yaml"
    threads: 8
    resources:
        gpu=1,
        gpu_jobs=1,
        mem_mb=16000,
        runtime=240,
    params:
        batch_size=config["evaluation"]["batch_size"],
        precision=config["evaluation"]["precision"],
        compile=COMPILE,
        seed=config["seed"],
        explanandum=subpath(input.explanandum, parent=True),
        explainer=subpath(input.explainer, parent=True),
        part=part_option,
    shell:
        'python "$SCRIPTS/generate_masks.py" --explanandum {params.explanandum}'
        " --explainer {params.explainer} --test {input.test} --batch-size {params.batch_size}"
        " --precision {params.precision} {params.compile} --seed {params.seed} --threads {threads}"
        " {params.part} --masks {output.masks} --log {log}"
