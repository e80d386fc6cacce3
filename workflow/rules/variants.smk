# The other variant of the Explainer: the same rules, with its results in a folder of its own.


use rule train_explainer as train_variant with:
    output:
        weights="results/variants/{variant}/runs/{run}/explainer/model.safetensors",
        config="results/variants/{variant}/runs/{run}/explainer/config.json",
        history="results/variants/{variant}/runs/{run}/explainer/history.tsv",
        record="results/variants/{variant}/runs/{run}/explainer/run.json",
    log:
        "logs/train_variant/{variant}_{run}.log",
    benchmark:
        "benchmarks/train_variant/{variant}_{run}.tsv"
    priority: 5
    params:
        launcher=launcher("explainer"),
        settings=variant_settings,
        seed=run_seed,
        explanandum=subpath(input.explanandum, parent=True),
        folder=subpath(output.weights, parent=True),
        checkpoints="checkpoints/variants/{variant}/runs/{run}",


use rule generate_masks as generate_variant_masks with:
    input:
        explanandum="results/explanandum/model.safetensors",
        explainer="results/variants/{variant}/runs/0/explainer/model.safetensors",
        test="results/tokens/test.arrow",
    output:
        masks="results/variants/{variant}/masks/test.parquet",
    log:
        "logs/generate_variant_masks/{variant}.log",
    benchmark:
        "benchmarks/generate_variant_masks/{variant}.tsv"


use rule predict_masked as predict_variant_masked with:
    input:
        explanandum="results/explanandum/model.safetensors",
        test="results/tokens/test.arrow",
        masks="results/variants/{variant}/masks/test.parquet",
    output:
        predictions="results/variants/{variant}/predictions.parquet",
    log:
        "logs/predict_variant_masked/{variant}.log",
    benchmark:
        "benchmarks/predict_variant_masked/{variant}.tsv"


use rule evaluate_masks as evaluate_variant_masks with:
    input:
        predictions="results/variants/{variant}/predictions.parquet",
        masks="results/variants/{variant}/masks/test.parquet",
        paper=PAPER / "table1.tsv",
    output:
        table="results/variants/{variant}/table1.tsv",
        markdown="results/variants/{variant}/table1.md",
        controls="results/variants/{variant}/table1_controls.tsv",
    log:
        "logs/evaluate_variant_masks/{variant}.log",


use rule localize_masks as localize_variant_masks with:
    input:
        test="results/tokens/test.arrow",
        masks="results/variants/{variant}/masks/test.parquet",
        planted="resources/simulated/planted.parquet",
    output:
        table="results/variants/{variant}/localization.tsv",
    log:
        "logs/localize_variant_masks/{variant}.log",


use rule plot_chunks as plot_variant_chunks with:
    input:
        masks="results/variants/{variant}/masks/test.parquet",
        paper=PAPER / "mask_statistics.tsv",
    output:
        table="results/variants/{variant}/mask_statistics.tsv",
        svg="results/variants/{variant}/figures/chunks.svg",
        png="results/variants/{variant}/figures/chunks.png",
    log:
        "logs/plot_variant_chunks/{variant}.log",


use rule plot_sequences as plot_variant_sequences with:
    input:
        test="results/tokens/test.arrow",
        masks="results/variants/{variant}/masks/test.parquet",
        classes="results/taxonomy/classes.tsv",
        planted=if_simulated("resources/simulated/planted.parquet"),
    output:
        html=report(
            "results/variants/{variant}/figures/sequences.html",
            caption="../report/plot_sequences.rst",
            category="Masks",
            labels={"what": "sequences, token by token: {variant}", "as": "page"},
        ),
        svg="results/variants/{variant}/figures/sequences.svg",
        png="results/variants/{variant}/figures/sequences.png",
    log:
        "logs/plot_variant_sequences/{variant}.log",


use rule plot_table1 as plot_variant_table1 with:
    input:
        table="results/variants/{variant}/table1.tsv",
        controls="results/variants/{variant}/table1_controls.tsv",
        classes="results/taxonomy/classes.tsv",
    output:
        svg=report(
            "results/variants/{variant}/figures/table1.svg",
            caption="../report/plot_table1.rst",
            category="Table 1",
            labels={"what": "Table 1 and its controls: {variant}", "as": "figure"},
        ),
        png="results/variants/{variant}/figures/table1.png",
    log:
        "logs/plot_variant_table1/{variant}.log",
