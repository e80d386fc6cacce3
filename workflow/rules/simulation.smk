# The embedded demo's data, in the formats of the real ones. Used only where the configuration has a
# `simulation` section and its `dataset` and `taxdump` name these files.


rule simulate_dataset:
    output:
        dataset="resources/simulated/dataset.zip",
        taxdump="resources/simulated/taxdmp.zip",
        planted="resources/simulated/planted.parquet",
        segments="resources/simulated/segments.tsv",
    log:
        "logs/simulate_dataset.log",
    localrule: True
    conda:
        "../../envs/simulate_dataset.yaml"
    params:
        settings=settings("simulation"),
        seed=config["seed"],
    shell:
        'python "$WHATYOUREAD/scripts/simulate_dataset.py" --settings {params.settings:q}'
        " --seed {params.seed} --dataset {output.dataset} --taxdump {output.taxdump}"
        " --planted {output.planted} --segments {output.segments} --log {log}"
