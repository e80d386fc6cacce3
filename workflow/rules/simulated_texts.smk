# The text demo's data, in the formats that a user's have. Used only where the configuration has a
# `simulated_texts` section and its `dataset`, `positions` and `backbone.tokenizer` name these files.


rule simulate_texts:
    output:
        dataset="resources/simulated/texts.jsonl",
        positions="resources/simulated/positions.bed",
        keywords="resources/simulated/keywords.tsv",
        tokenizer=directory("resources/simulated/tokenizer"),
    log:
        "logs/simulate_texts.log",
    localrule: True
    conda:
        "../../envs/simulate_texts.yaml"
    params:
        settings=settings("simulated_texts"),
        seed=config["seed"],
    shell:
        'python "$WHATYOUREAD/scripts/simulate_texts.py" --settings {params.settings:q}'
        " --seed {params.seed} --dataset {output.dataset} --positions {output.positions}"
        " --keywords {output.keywords} --tokenizer {output.tokenizer} --log {log}"
