#!/usr/bin/env bash
# The demo, whole, through `snakemake --profile slurm`: once undisturbed up to Table 1, and once with a
# job that is cancelled from outside and one that hits its time limit; both give the same table.
#
# On the Slurm that is here, or on one that SLURM_NODE, a program with `start` and `stop`, brings up.
# Arguments and SLURM_TEST_OPTIONS are added to Snakemake's; PARTITIONS is the file of the site's
# partitions, GPU_PARTITION the one with its GPUs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() { echo "slurm-test: skipped: $*"; exit 0; }
fail() { echo "slurm-test: $*" >&2; exit 1; }

command -v conda >/dev/null || skip "no conda on PATH, which the profile makes the environments with"
folder=$PWD/runs/slurm-test
partitions=$(realpath "${PARTITIONS:-slurm/partitions.yaml}")  # the run is elsewhere
snakemake='' stop=''
run_id() { sed -n 's/.*SLURM run ID: //p' "$folder/disturbed.log" 2>/dev/null | tail -n 1; }
end() {
    if [ -n "$snakemake" ] && kill "$snakemake" 2>/dev/null && [ -n "$(run_id)" ]; then
        scancel --name "$(run_id)" || true  # its name is that of all its jobs
    fi
    if [ -n "$stop" ]; then "$stop" stop; fi
}
trap end EXIT

if ! timeout 20 sinfo --noheader >/dev/null 2>&1; then
    [ -n "${SLURM_NODE:-}" ] || skip "no Slurm answers here (sinfo), and SLURM_NODE names none"
    "$SLURM_NODE" start || fail "$SLURM_NODE start failed"
    stop=$SLURM_NODE
fi

rm -rf "$folder"
for name in undisturbed disturbed; do
    mkdir -p "$folder/$name"
    cp -r .test/config "$folder/$name/config"
done
options=("$@")
# longer than the minute that it will get
echo 'explainers: {paper: {epochs: 15}}' >"$folder/longer.yaml"
run() {  # NAME [TARGET]; the environments are those of envs_test.sh, the jobs are short
    # shellcheck disable=SC2086
    exec snakemake --profile slurm --directory "$folder/$1" --conda-prefix "$PWD/runs/conda" \
        --slurm-partition-config "$partitions" \
        --configfile "$folder/longer.yaml" \
        --slurm-init-seconds-before-status-checks 5 "${options[@]}" ${SLURM_TEST_OPTIONS:-} \
        -- "${2:-all}" >"$folder/$1.log" 2>&1
}

# Waits until a training runs and has written a checkpoint; the number of its job, which is found by
# the comment that Snakemake gives it (rule and wildcards), and which must have a GPU.
job_of() {  # RULE WILDCARDS CHECKPOINTS
    local job
    for _ in $(seq 3600); do
        kill -0 "$snakemake" 2>/dev/null || fail "Snakemake ended first, see $folder/disturbed.log"
        if compgen -G "$folder/disturbed/checkpoints/$3/checkpoint-*" >/dev/null; then
            job=$(squeue --noheader --name "$(run_id)" --states RUNNING --format '%i %k' |
                sed -n "s/^\([0-9]*\) rule_$1_wildcards_$2$/\1/p" | head -n 1)
            if [ -n "$job" ]; then
                scontrol show job --oneliner "$job" | grep -q 'TresPerJob=gres[:/]gpu[:=]1' ||
                    fail "job $job, $1 $2, has no GPU"
                echo "$job" && return
            fi
        fi
        sleep 1
    done
    fail "$1 $2 has written no checkpoint within an hour"
}

echo "slurm-test: undisturbed"
(run undisturbed results/table1.tsv) || fail "the undisturbed run failed, see $folder/undisturbed.log"

echo "slurm-test: with accidents"
run disturbed &
snakemake=$!
job=$(job_of train_explanandum 0 explanandum/0)
scancel "$job"
echo "slurm-test: cancelled job $job, train_explanandum"
job=$(job_of train_explainer paper_0 explainers/paper/0)
scontrol update JobId="$job" TimeLimit=1
echo "slurm-test: one minute for job $job, train_explainer"
# what one machine may do at a time is no limit here
most=0
while kill -0 "$snakemake" 2>/dev/null; do
    now=$(squeue --noheader --name "$(run_id)" --partition "${GPU_PARTITION:-gpu}" | wc -l) || true
    most=$((now > most ? now : most))
    sleep 1
done
ended=0
wait "$snakemake" || ended=$?
snakemake=''
[ "$ended" = 0 ] || fail "the run did not survive its accidents, see $folder/disturbed.log"

for job in train_explanandum/0 train_explainer/paper_0; do
    jobs=$(grep -c "submitted with SLURM jobid .*/rule_$job/" "$folder/disturbed.log" || true)
    grep -q "going on from" "$folder/disturbed/logs/$job.log" || fail "$job did not go on"
    echo "slurm-test: $job went on from its checkpoint, in $jobs jobs"
done
[ "$most" -gt 1 ] || fail "never two jobs that need a GPU at a time"
echo "slurm-test: up to $most jobs that need a GPU at a time"
cmp "$folder"/{undisturbed,disturbed}/results/table1.tsv || fail "another Table 1 after the accidents"
echo "slurm-test: the whole demo went through, with the same Table 1"
