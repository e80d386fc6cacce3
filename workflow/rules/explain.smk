# Somebody's sequences, explained by the models of this run.


def sample_explainer(wildcards):
    """The folder of the Explainer of a sample."""
    return f"results/explainers/{SAMPLES[wildcards.sample]['explainer']}/0"


def sample_models(wildcards):
    """What the folder of an Explainer needs to be loaded, and its classifier."""
    folder = sample_explainer(wildcards)
    weights = f"{folder}/model.safetensors"
    return [
        weights,
        f"{folder}/classes.tsv",
        f"{folder}/classifier.json",
        *gates_of([weights]),
        explanandum_of(0),
    ]


def sample_sequences(wildcards):
    """The files of a sample."""
    return sequence_files(SAMPLES[wildcards.sample]["sequences"])


def sample_annotation(wildcards):
    """The GFF3 of a sample, as a list; else nothing."""
    own = SAMPLES[wildcards.sample]
    return [own["annotation"]] if "annotation" in own else []


def sample_regions(wildcards):
    """The files in BED among the regions of a sample."""
    regions = SAMPLES[wildcards.sample].get("regions", [])
    return [region for region in regions if Path(region).is_file()]


def sample_options(wildcards):
    """The options of a sample for the command line, but for its files."""
    own = SAMPLES[wildcards.sample]
    names = ("strands", "offsets", "window", "overlap", "gap", "permutations")
    words = [[f"--{name}", own[name]] for name in names if name in own]
    words += [
        [f"--{name}", *own[name]] for name in ("regions", "classes") if own.get(name)
    ]
    return [str(word) for option in words for word in option]


rule explain_sequences:
    input:
        models=sample_models,
        sequences=sample_sequences,
        annotation=sample_annotation,
        regions=sample_regions,
    output:
        page="results/explain/{sample}/index.html",
        predictions="results/explain/{sample}/{sample}.predictions.tsv",
        masks="results/explain/{sample}/{sample}.masks.parquet",
        spans="results/explain/{sample}/{sample}.spans.bed",
        features="results/explain/{sample}/{sample}.spans.gff3",
        session="results/explain/{sample}/{sample}.igv.xml",
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
        explainer=sample_explainer,
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
