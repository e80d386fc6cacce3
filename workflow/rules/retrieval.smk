# Sequences, taxonomy and pretrained encoder, from a server or from this machine.


rule download_dataset:
    input:
        local_source("dataset"),
    output:
        folder=directory("resources/dataset"),
        record="resources/dataset.json",
    log:
        "logs/download_dataset.log",
    benchmark:
        "benchmarks/download_dataset.tsv"
    localrule: True
    conda:
        "../../envs/download_dataset.yaml"
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        url=config["dataset"]["url"],
        checks=checks("dataset"),
        partial="resources/partial",
    shell:
        'python "$SCRIPTS/download_dataset.py" --url {params.url:q} {params.checks}'
        " --partial {params.partial} --output-dir {output.folder} --record {output.record}"
        " --log {log}"


rule download_taxdump:
    input:
        local_source("taxdump"),
    output:
        folder=directory("resources/taxdump"),
        record="resources/taxdump.json",
    log:
        "logs/download_taxdump.log",
    benchmark:
        "benchmarks/download_taxdump.tsv"
    localrule: True
    conda:
        "../../envs/download_taxdump.yaml"
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        url=config["taxdump"]["url"],
        checks=checks("taxdump"),
        partial="resources/partial",
    shell:
        'python "$SCRIPTS/download_taxdump.py" --url {params.url:q} {params.checks}'
        " --partial {params.partial} --output-dir {output.folder} --record {output.record}"
        " --log {log}"


rule download_backbone:
    input:
        backbone_path,
    output:
        folder=directory("resources/backbone"),
        record="resources/backbone.json",
    log:
        "logs/download_backbone.log",
    localrule: True
    conda:
        "../../envs/download_backbone.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        settings=settings("backbone"),
    shell:
        'python "$SCRIPTS/download_backbone.py" --settings {params.settings:q}'
        " --output-dir {output.folder} --record {output.record} --log {log}"
