#!/usr/bin/env bash
# The demo, whole, with every rule in the conda environment of its own file, and proof of that: the
# Python of each job says where it is and what it could import.
#
# Arguments are added to Snakemake's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "envs-test: $*" >&2; exit 1; }

command -v conda >/dev/null || { echo "envs-test: skipped: no conda on PATH"; exit 0; }
folder=$PWD/runs/envs-test
rm -rf "$folder"
mkdir -p "$folder"
cp -r .test/config "$folder/config"
run_in() {  # FOLDER OPTIONS
    snakemake --directory "$1" --software-deployment-method conda --conda-prefix "$PWD/runs/conda" "${@:2}" \
        >>"$folder.log" 2>&1 || fail "failed, see $folder.log"
}
run() { run_in "$folder" "$@"; }

: >"$folder.log"
# the tokens of another split are no part of the demo, but the only use of an environment
targets=(all results/runs/1/tokens/train.arrow)
run --cores 1 --conda-create-envs-only -- "${targets[@]}"
echo "envs-test: the environments are there"

# Every bash of a job reads this. In front of `python SCRIPT` it writes down: rule, environment,
# whether there is torch, and what is searched for modules outside of the environment and of the
# standard library.
export JOBS_SEEN=$folder/jobs.tsv BASH_ENV=$folder/bash_env
cat >"$BASH_ENV" <<'END'
python() {
    command python -c '
import importlib.util, os, sys
own = sys.prefix + os.sep
foreign = [path for path in filter(None, sys.path) if not path.startswith(own)
           and ("-packages" in path or not path.startswith(sys.base_prefix + os.sep))]
rule = os.path.basename(sys.argv[1]).removesuffix(".py")
print(rule, sys.prefix, importlib.util.find_spec("torch") is not None, *foreign, sep="\t")
' "$1" >>"$JOBS_SEEN" || return
    command python "$@"
}
END
options=("$@")
run "${options[@]}" -- "${targets[@]}"

# The rules that gather the parts of scattered work: in a copy, what is scattered once more. By age
# alone, and the tokens last, because all else is younger than they are.
scattered=$folder/scattered
mkdir "$scattered"
cp -a "$folder"/{config,resources,results} "$scattered/"
in_parts() { run_in "$scattered" "${options[@]}" --config scatter=2 --rerun-triggers mtime -- "$@"; }
rm "$scattered"/results/{masks/test.parquet,predictions.parquet,table1.tsv}
in_parts results/table1.tsv
rm "$scattered"/results/tokens/*
in_parts results/tokens/test.arrow
cmp {"$folder","$scattered"}/results/table1.tsv || fail "another Table 1 in parts"
unset BASH_ENV

for file in envs/*.yaml; do
    rule=$(basename "$file" .yaml)
    torch=False
    if grep -q "torch ==" "$file"; then torch=True; fi
    awk -F '\t' -v rule="$rule" '$1 == rule' "$JOBS_SEEN" | sort -u >"$folder/seen"
    [ -s "$folder/seen" ] || fail "no job of $rule was seen"
    while IFS=$'\t' read -r _ prefix has_torch foreign; do
        # Snakemake keeps the file beside the environment that it was made from
        cmp -s "$file" "$prefix.yaml" || fail "$rule ran in $prefix, which is not that of $file"
        [ "$has_torch" = "$torch" ] || fail "$rule: torch can be imported: $has_torch; in $file: $torch"
        [ -z "$foreign" ] || fail "$rule could import from outside of $prefix: $foreign"
    done <"$folder/seen"
done
echo "envs-test: $(wc -l <"$JOBS_SEEN") jobs of $(cut -f 1 "$JOBS_SEEN" | sort -u | wc -l) rules, each in" \
    "its own environment ($(cut -f 2 "$JOBS_SEEN" | sort -u | wc -l) different ones) and with nothing else"
