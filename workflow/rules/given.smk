# A published classifier, which is explained as it is.


rule adopt_classifier:
    input:
        classifier="resources/backbone",
        origin="resources/backbone.json",
    output:
        weights="results/explanandum/0/model.safetensors",
        config="results/explanandum/0/config.json",
        record="results/explanandum/0/run.json",
        classes="results/explanandum/classes.tsv",
    log:
        "logs/adopt_classifier.log",
    conda:
        "../../envs/adopt_classifier.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(30),
    params:
        level=RANKS[0],
        threshold=option(
            "--threshold",
            [
                config["explanandum"][key]
                for key in ("threshold",)
                if key in config["explanandum"]
            ],
        ),
        folder=subpath(output.weights, parent=True),
    shell:
        'python "$WHATYOUREAD/scripts/adopt_classifier.py" --classifier {input.classifier}'
        " --origin {input.origin} --level {params.level:q} {params.threshold} --output-dir {params.folder}"
        " --classes {output.classes} --log {log}"
