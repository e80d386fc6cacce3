# NCBI's taxonomy. Used only where the labels come from it.


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
        mem_mb=memory(2000),
        runtime=minutes(240),
    params:
        url=lambda wildcards: ADDRESSES["taxdump"],
        checks=checks("taxdump"),
        partial=placed("resources/partial"),
    shell:
        'python "$WHATYOUREAD/scripts/download_taxdump.py" --url {params.url:q} {params.checks}'
        " --partial {params.partial} --output-dir {output.folder} --record {output.record}"
        " --log {log}"
