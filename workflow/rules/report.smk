# Tables and records as pages of the report; pictures go there from the rules that draw them.


rule render_table:
    input:
        files=page_files,
    output:
        html=report(
            "results/report/{page}.html",
            caption="../report/render_table.rst",
            category=page_category,
            labels=page_labels,
        ),
    log:
        "logs/render_table/{page}.log",
    localrule: True
    conda:
        "../../envs/render_table.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        title=page_title,
    shell:
        'python "$SCRIPTS/render_table.py" --files {input.files} --title {params.title:q}'
        " --html {output.html} --log {log}"
