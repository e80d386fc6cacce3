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
run() {  # OPTIONS
    snakemake --directory "$folder" --software-deployment-method conda --conda-prefix "$PWD/runs/conda" "$@" \
        >>"$folder.log" 2>&1 || fail "failed, see $folder.log"
}

: >"$folder.log"
# the tokens of another split are no part of the demo, but the only use of a rule
another=$folder/another.yaml
echo 'runs: {kind: explanandum, number: 2}' >"$another"
run --cores 1 --conda-create-envs-only -- all
run --cores 1 --conda-create-envs-only --configfile "$another" -- results/tokens/1/train.arrow
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
run "${options[@]}" -- all
run "${options[@]}" --configfile "$another" -- results/tokens/1/train.arrow
unset BASH_ENV

for file in envs/*.yaml; do
    rule=$(basename "$file" .yaml)
    torch=False
    if grep -q "torch ==" "$file"; then torch=True; fi
    awk -F '\t' -v rule="$rule" '$1 == rule' "$JOBS_SEEN" | sort -u >"$folder/seen"
    if ! [ -s "$folder/seen" ]; then
        [ "$rule" = copy_table1 ] && continue  # which runs no Python
        fail "no job of $rule was seen"
    fi
    while IFS=$'\t' read -r _ prefix has_torch foreign; do
        # Snakemake keeps the file beside the environment that it was made from
        cmp -s "$file" "$prefix.yaml" || fail "$rule ran in $prefix, which is not that of $file"
        [ "$has_torch" = "$torch" ] || fail "$rule: torch can be imported: $has_torch; in $file: $torch"
        [ -z "$foreign" ] || fail "$rule could import from outside of $prefix: $foreign"
    done <"$folder/seen"
done
echo "envs-test: $(wc -l <"$JOBS_SEEN") jobs of $(cut -f 1 "$JOBS_SEEN" | sort -u | wc -l) rules, each in the" \
    "environment of its file ($(cut -f 2 "$JOBS_SEEN" | sort -u | wc -l) different ones) and with nothing else"
