# Pictures, as SVG and PNG; the SVG also stand in the report.


rule plot_training:
    input:
        explanandum="results/explanandum/0/history.tsv",
        explainer="results/explainers/{explainer}/0/history.tsv",
        counts="results/tokens/summary.tsv",
    output:
        svg=report(
            "results/explainers/{explainer}/figures/training.svg",
            caption="../report/plot_training.rst",
            category="Models",
            labels={"what": "training curves: {explainer}", "as": "figure"},
        ),
        png="results/explainers/{explainer}/figures/training.png",
    log:
        "logs/plot_training/{explainer}.log",
    conda:
        "../../envs/plot_training.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
    shell:
        'python "$WHATYOUREAD/scripts/plot_training.py" --explanandum {input.explanandum}'
        " --explainer {input.explainer} --name {wildcards.explainer} --counts {input.counts}"
        " --ranks {params.ranks:q} --svg {output.svg} --png {output.png} --log {log}"


rule plot_table1:
    input:
        table="results/explainers/{explainer}/table1.tsv",
        controls="results/explainers/{explainer}/controls.tsv",
        classes="results/taxonomy/classes.tsv",
    output:
        svg=report(
            "results/explainers/{explainer}/figures/table1.svg",
            caption="../report/plot_table1.rst",
            category="Table 1",
            labels={"what": "Table 1 and its controls: {explainer}", "as": "figure"},
        ),
        png="results/explainers/{explainer}/figures/table1.png",
    log:
        "logs/plot_table1/{explainer}.log",
    conda:
        "../../envs/plot_table1.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
    shell:
        'python "$WHATYOUREAD/scripts/plot_table1.py" --table {input.table}'
        " --controls {input.controls} --classes {input.classes} --ranks {params.ranks:q}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule plot_confusion:
    input:
        predictions="results/explainers/{explainer}/predictions.parquet",
        classes="results/taxonomy/classes.tsv",
    output:
        svg=report(
            "results/explainers/{explainer}/figures/confusion.svg",
            caption="../report/plot_confusion.rst",
            category="Table 1",
            labels={
                "what": "confusion between classes, plain and masked: {explainer}",
                "as": "figure",
            },
        ),
        png="results/explainers/{explainer}/figures/confusion.png",
    log:
        "logs/plot_confusion/{explainer}.log",
    conda:
        "../../envs/plot_confusion.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
    shell:
        'python "$WHATYOUREAD/scripts/plot_confusion.py" --predictions {input.predictions}'
        " --classes {input.classes} --ranks {params.ranks:q} --svg {output.svg} --png {output.png}"
        " --log {log}"


rule plot_sequences:
    input:
        test="results/tokens/test.arrow",
        masks="results/explainers/{explainer}/masks.parquet",
        classes="results/taxonomy/classes.tsv",
        planted=known_positions(),
    output:
        html=report(
            "results/explainers/{explainer}/figures/sequences.html",
            caption="../report/plot_sequences.rst",
            category="Masks",
            labels={"what": "sequences, token by token: {explainer}", "as": "page"},
        ),
        svg="results/explainers/{explainer}/figures/sequences.svg",
        png="results/explainers/{explainer}/figures/sequences.png",
    log:
        "logs/plot_sequences/{explainer}.log",
    conda:
        "../../envs/plot_sequences.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
        shown=config["figures"]["sequences"],
        seed=config["seed"],
        planted=lambda wildcards, input: option("--planted", input.planted),
    shell:
        'python "$WHATYOUREAD/scripts/plot_sequences.py" --test {input.test} --masks {input.masks}'
        " --classes {input.classes} --ranks {params.ranks:q} --count {params.shown}"
        " --seed {params.seed} {params.planted} --html {output.html} --svg {output.svg}"
        " --png {output.png} --log {log}"


rule plot_masks:
    input:
        masks="results/explainers/{explainer}/masks.parquet",
    output:
        svg=report(
            "results/explainers/{explainer}/figures/masks.svg",
            caption="../report/plot_masks.rst",
            category="Masks",
            labels={"what": "values of the masks: {explainer}", "as": "figure"},
        ),
        png="results/explainers/{explainer}/figures/masks.png",
    log:
        "logs/plot_masks/{explainer}.log",
    conda:
        "../../envs/plot_masks.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(30),
    shell:
        'python "$WHATYOUREAD/scripts/plot_masks.py" --masks {input.masks} --svg {output.svg}'
        " --png {output.png} --log {log}"


rule plot_chunks:
    input:
        masks="results/explainers/{explainer}/masks.parquet",
    output:
        table="results/explainers/{explainer}/mask_statistics.tsv",
        svg=report(
            "results/explainers/{explainer}/figures/chunks.svg",
            caption="../report/plot_chunks.rst",
            category="Masks",
            labels={"what": "kept chunks: {explainer}", "as": "figure"},
        ),
        png="results/explainers/{explainer}/figures/chunks.png",
    log:
        "logs/plot_chunks/{explainer}.log",
    conda:
        "../../envs/plot_chunks.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(30),
    params:
        paper=beside_paper("mask_statistics.tsv"),
    shell:
        'python "$WHATYOUREAD/scripts/plot_chunks.py" --masks {input.masks}'
        " {params.paper} --table {output.table}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule plot_lime:
    input:
        sequences="results/attributions/sequences.arrow",
        lime="results/attributions/lime.parquet",
        default=if_compared("lime_captum_default"),
        explainer=f"results/attributions/explainer_{MAIN}.parquet",
        classes="results/taxonomy/classes.tsv",
        planted=known_positions(),
    output:
        svg=report(
            "results/figures/lime.svg",
            caption="../report/plot_lime.rst",
            category="Comparison",
            labels={"what": "LIME beside the Explainer", "as": "figure"},
        ),
        png="results/figures/lime.png",
    log:
        "logs/plot_lime.log",
    conda:
        "../../envs/plot_lime.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
        seed=config["seed"],
        planted=lambda wildcards, input: option("--planted", input.planted),
        default=lambda wildcards, input: option("--captum-default", input.default),
    shell:
        'python "$WHATYOUREAD/scripts/plot_lime.py" --sequences {input.sequences}'
        " --lime {input.lime} --explainer {input.explainer} --classes {input.classes}"
        " --ranks {params.ranks:q} --seed {params.seed} {params.planted} {params.default}"
        " --svg {output.svg} --png {output.png} --log {log}"


rule plot_comparison:
    input:
        curves="results/comparison_curves.tsv",
        comparison="results/comparison.tsv",
        faithfulness="results/faithfulness.tsv",
    output:
        svg=report(
            "results/figures/keep_remove.svg",
            caption="../report/plot_comparison.rst",
            category="Comparison",
            labels={"what": "top tokens kept and removed", "as": "figure"},
        ),
        png="results/figures/keep_remove.png",
        cost_svg=report(
            "results/figures/cost.svg",
            caption="../report/plot_comparison.rst",
            category="Comparison",
            labels={"what": "cost and faithfulness", "as": "figure"},
        ),
        cost_png="results/figures/cost.png",
    log:
        "logs/plot_comparison.log",
    conda:
        "../../envs/plot_comparison.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        explainers=EXPLAINER_METHODS,
    shell:
        'python "$WHATYOUREAD/scripts/plot_comparison.py" --curves {input.curves}'
        " --comparison {input.comparison} --faithfulness {input.faithfulness}"
        " --explainers {params.explainers} --svg {output.svg} --png {output.png}"
        " --cost-svg {output.cost_svg} --cost-png {output.cost_png} --log {log}"


rule plot_steering:
    input:
        steering="results/steering.tsv",
    output:
        svg=report(
            "results/figures/steering.svg",
            caption="../report/plot_steering.rst",
            category="Comparison",
            labels={"what": "kept, removed, and net of steering", "as": "figure"},
        ),
        png="results/figures/steering.png",
    log:
        "logs/plot_steering.log",
    conda:
        "../../envs/plot_steering.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        explainers=EXPLAINER_METHODS,
    shell:
        'python "$WHATYOUREAD/scripts/plot_steering.py" --steering {input.steering}'
        " --explainers {params.explainers} --svg {output.svg} --png {output.png} --log {log}"


rule plot_classes:
    input:
        table="results/class_explanations.tsv",
        summary="results/class_explanations_summary.tsv",
    output:
        svg=report(
            "results/figures/classes_{source}_{rank}.svg",
            caption="../report/plot_classes.rst",
            category="Class explanations",
            labels={
                "what": f"best {NAMES_OF_ITEMS}: {{rank}}, {{source}}",
                "as": "figure",
            },
        ),
        png="results/figures/classes_{source}_{rank}.png",
        logo_svg=report(
            if_kmers("results/figures/logos_{source}_{rank}.svg"),
            caption="../report/plot_classes.rst",
            category="Class explanations",
            labels={"what": "motifs: {rank}, {source}", "as": "figure"},
        ),
        logo_png=if_kmers("results/figures/logos_{source}_{rank}.png"),
    log:
        "logs/plot_classes/{source}_{rank}.log",
    conda:
        "../../envs/plot_classes.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        shown=config["figures"]["classes"],
        # k-mers are what older versions drew
        kind="" if SHOWN_ITEMS == "kmer" else f"--kind {SHOWN_ITEMS}",
        logos=lambda wildcards, output: " ".join(
            [
                option("--logo-svg", quoted(output.logo_svg)),
                option("--logo-png", quoted(output.logo_png)),
            ]
        ),
    shell:
        'python "$WHATYOUREAD/scripts/plot_classes.py" --table {input.table}'
        " --summary {input.summary} --rank {wildcards.rank:q} --source {wildcards.source}"
        " --classes-shown {params.shown} --svg {output.svg:q} --png {output.png:q}"
        " {params.kind} {params.logos} --log {log:q}"


rule plot_stability:
    input:
        table="results/class_explanations_stability.tsv",
    output:
        svg=report(
            "results/figures/stability.svg",
            caption="../report/plot_stability.rst",
            category="Class explanations",
            labels={"what": "how stable the lists are", "as": "figure"},
        ),
        png="results/figures/stability.png",
    log:
        "logs/plot_stability.log",
    conda:
        "../../envs/plot_stability.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        kind=SHOWN_ITEMS,
    shell:
        'python "$WHATYOUREAD/scripts/plot_stability.py" --table {input.table} --kind {params.kind}'
        " --svg {output.svg} --png {output.png} --log {log}"


rule plot_motifs:
    input:
        effects="results/motif_effects.tsv",
    output:
        svg=report(
            "results/figures/motif_effects.svg",
            caption="../report/plot_motifs.rst",
            category="Class explanations",
            labels={"what": "motifs in random sequences", "as": "figure"},
        ),
        png="results/figures/motif_effects.png",
    log:
        "logs/plot_motifs.log",
    conda:
        "../../envs/plot_motifs.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        ranks=RANKS,
    shell:
        'python "$WHATYOUREAD/scripts/plot_motifs.py" --effects {input.effects}'
        " --ranks {params.ranks:q} --svg {output.svg} --png {output.png} --log {log}"


rule render_keywords:
    input:
        table="results/class_explanations.tsv",
        summary="results/class_explanations_summary.tsv",
        documents="results/classes/0/{source}_documents.parquet",
    output:
        html=report(
            "results/figures/keywords_{source}_{rank}.html",
            caption="../report/render_keywords.rst",
            category="Class explanations",
            labels={"what": "keywords in texts: {rank}, {source}", "as": "page"},
        ),
    log:
        "logs/render_keywords/{source}_{rank}.log",
    conda:
        "../../envs/render_keywords.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    shell:
        'python "$WHATYOUREAD/scripts/render_keywords.py" --table {input.table}'
        " --summary {input.summary} --documents {input.documents} --rank {wildcards.rank:q}"
        " --source {wildcards.source} --html {output.html:q} --log {log:q}"
