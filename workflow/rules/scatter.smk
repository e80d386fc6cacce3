# The work of a rule as several jobs, each with a part of the sequences (config: scatter).


scattergather:
    part=config["scatter"],


ruleorder: gather_tokens > tokenize_sequences
ruleorder: gather_tables > generate_masks
ruleorder: gather_tables > predict_masked
ruleorder: gather_tables > generate_variant_masks
ruleorder: gather_tables > predict_variant_masked


# name -> path below results/tokens/, and of each part below results/parts/tokens/
TOKENS = {
    name: Path(path).name for name, path in rules.tokenize_sequences.output.items()
}


use rule tokenize_sequences as tokenize_part with:
    output:
        **{
            name: temp(f"results/parts/tokens/{{scatteritem}}/{file}")
            for name, file in TOKENS.items()
        },
    log:
        "logs/tokenize_part/{scatteritem}.log",
    benchmark:
        "benchmarks/tokenize_part/{scatteritem}.tsv"


rule gather_tokens:
    input:
        **{
            name: gather.part(f"results/parts/tokens/{{scatteritem}}/{file}")
            for name, file in TOKENS.items()
        },
    output:
        **{name: f"results/tokens/{file}" for name, file in TOKENS.items()},
    log:
        "logs/gather_tokens.log",
    conda:
        "../../envs/gather_tokens.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        ranks=RANKS,
        parts=lambda wildcards, input: [Path(path).parent for path in input.summary],
    shell:
        'python "$SCRIPTS/gather_tokens.py" --parts {params.parts} --ranks {params.ranks}'
        " --train {output.train} --validation {output.validation} --test {output.test}"
        " --explainer-train {output.explainer_train}"
        " --explainer-validation {output.explainer_validation} --summary {output.summary}"
        " --log {log}"


use rule generate_masks as generate_masks_part with:
    output:
        masks=temp("results/parts/masks/test/{scatteritem}.parquet"),
    log:
        "logs/generate_masks_part/{scatteritem}.log",
    benchmark:
        "benchmarks/generate_masks_part/{scatteritem}.tsv"


use rule predict_masked as predict_masked_part with:
    output:
        predictions=temp("results/parts/predictions/{scatteritem}.parquet"),
    log:
        "logs/predict_masked_part/{scatteritem}.log",
    benchmark:
        "benchmarks/predict_masked_part/{scatteritem}.tsv"


use rule generate_variant_masks as generate_variant_masks_part with:
    output:
        masks=temp("results/parts/variants/{variant}/masks/test/{scatteritem}.parquet"),
    log:
        "logs/generate_variant_masks_part/{variant}_{scatteritem}.log",
    benchmark:
        "benchmarks/generate_variant_masks_part/{variant}_{scatteritem}.tsv"


use rule predict_variant_masked as predict_variant_masked_part with:
    output:
        predictions=temp(
            "results/parts/variants/{variant}/predictions/{scatteritem}.parquet"
        ),
    log:
        "logs/predict_variant_masked_part/{variant}_{scatteritem}.log",
    benchmark:
        "benchmarks/predict_variant_masked_part/{variant}_{scatteritem}.tsv"


rule gather_tables:
    input:
        parts=gather.part("results/parts/{{table}}/{scatteritem}.parquet"),
    output:
        table="results/{table}.parquet",
    log:
        "logs/gather_tables/{table}.log",
    wildcard_constraints:
        table=r"(variants/\w+/)?(masks/test|predictions)",
    conda:
        "../../envs/gather_tables.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        'python "$SCRIPTS/gather_tables.py" --parts {input.parts} --table {output.table}'
        " --log {log}"
