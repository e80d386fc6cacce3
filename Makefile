# `make demo` and `make test` do all their own set-up; see README.md.

PYTHON ?= python3
# nproc answers OMP_NUM_THREADS where that is set.
CORES ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2>/dev/null || echo 2)
DATA ?=
DATASET ?= $(DATA)/bertax_like.zip
TAXDUMP ?= $(DATA)/taxdmp_mini.zip
RUN ?= runs/real
MODEL ?= .test/results/explainers/sharp/0
OUT ?= explained
N ?= 20
AT_ONCE ?= 1
SIGNALS ?= KILL TERM
PART ?= rivals
LAYERS ?= 1
SEED ?= 42
ENCODER ?=
CONFIG ?= .test

# Without a GPU, small models run best in one thread, several jobs side by side: threads of one job wait
# for one another, and on a busy machine they wait ten times as long as they compute. With one, one job has it.
GPU_JOBS = $(shell nvidia-smi -L >/dev/null 2>&1 && echo 1 || echo $(CORES))
JOBS = --cores $(CORES) --resources gpu_jobs=$(GPU_JOBS) $(THREADS)
THREADS = --max-threads 1

# Tests share the cores by file; what a test starts gets one thread, as in JOBS.
WORKERS = --numprocesses $(CORES) --dist loadfile
QUIET = --quiet rules host
# by Python, because the functions of make divide a path at its blanks
URL = python -c 'import json, os, sys; print(sys.argv[1] + "=" + json.dumps({"url": os.path.abspath(sys.argv[2])}))'
SOURCES = --config "$$($(URL) dataset $(call quoted,$(DATASET)))" "$$($(URL) taxdump $(call quoted,$(TAXDUMP)))"
quoted = '$(subst ','\'',$(1))'

export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONPATH PYTHONHOME

.PHONY: help venv demo demo-text demo-all test test-slow lint format real explain chaos envs-test slurm-test bench bench-quick \
  bench-gpu findings clean requirements

help:
	@echo "make demo        simulated data, real models: both Explainers side by side in a few minutes"
	@echo "make demo-text   likewise on simulated texts: the words that speak for each class"
	@echo "make demo-all    everything that a run makes, on the data of both demos, and their reports"
	@echo "make real DATA=FOLDER    the chain on real sequences, small encoder, no GPU"
	@echo "make real DATASET=FILE TAXDUMP=FILE [RUN=FOLDER]    likewise, on your files"
	@echo "make explain FASTA=FILE [MODEL=FOLDER] [OUT=FOLDER] [OPTIONS='--offsets 6 ...']    predictions, tracks and"
	@echo "                 a page of your sequences, by the demo's models or others"
	@echo "make test        the tests that a contributor runs (some ten minutes on two cores)"
	@echo "make test-slow   whole runs, kills, the quick benchmark (some twenty minutes on two cores)"
	@echo "make lint        snakemake --lint, snakefmt --check, ruff"
	@echo "make chaos N=20 [CORES=1 AT_ONCE=2] [SIGNALS=KILL]    kill N runs of the demo at random moments"
	@echo "                 (SIGKILL, then as many by SIGTERM), and compare what they make in the end"
	@echo "make envs-test   the demo with every rule in the conda environment of its own file"
	@echo "make slurm-test [SLURM_NODE=PROGRAM]    the demo through --profile slurm, with accidents"
	@echo "make bench       time and memory at the paper's size, beside alternatives (16 minutes, 10 GB)"
	@echo "make bench-quick a small part of it"
	@echo "make bench-gpu   both models at full size on a GPU: throughput, memory, what bounds them"
	@echo "make findings PART=rivals [LAYERS=4 SEED=42]    a part of FINDINGS.md again, with its tables; also"
	@echo "                 PART=real DATASET=FILE TAXDUMP=FILE;"
	@echo "                 PART=signal, helix or propaganda DATA=FOLDER ENCODER=FOLDER; PART=length LAYERS=4"
	@echo "                 (FINDINGS.md has the hours)"
	@echo "make venv        only make .venv, which the others need"
	@echo "make clean       remove the results of the demo"

venv: .venv/installed

.venv/installed: requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or later is needed: make PYTHON=python3.11 ...' or 0)"
	rm -rf .venv  # and not venv --clear, which empties the folder that a link leads to
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.txt
	@# pip compiles on one core. Templates among the packages are no Python: that is no failure.
	@.venv/bin/python -m compileall -qq -j 0 .venv/lib || true
	@touch $@

demo: venv
	snakemake --directory .test $(JOBS) $(QUIET) -- demo
	@echo
	@cat .test/results/summary.md
	@echo "Sequences, token by token: .test/results/explainers/sharp/figures/sequences.html"
	@echo "Everything else, and a report: make demo-all"

demo-text: venv
	snakemake --directory .test/text $(JOBS) $(QUIET) -- demo
	@echo
	@cat .test/text/results/summary.md
	@echo "The words of each class, in texts: .test/text/results/figures/keywords_explainer_sharp_register.html"

demo-all: venv
	snakemake --directory .test $(JOBS) $(QUIET)
	snakemake --directory .test --report report.html
	snakemake --directory .test/text $(JOBS) $(QUIET)
	snakemake --directory .test/text --report report.html
	@echo
	@cat .test/results/summary.md
	@echo "Everything on one page, with pictures: .test/report.html; of the texts: .test/text/report.html"

test test-slow: export OMP_NUM_THREADS = 1

test: venv
	python -m pytest -m "not slow" $(WORKERS) $(PYTEST_OPTIONS)

test-slow: venv
	python -m pytest -m slow $(WORKERS) --no-loadscope-reorder $(PYTEST_OPTIONS)

lint: venv
	snakemake --lint
	snakefmt --check workflow
	ruff check .
	ruff format --check .

format: venv
	snakefmt workflow
	ruff check --fix .
	ruff format .

real: venv
	@test -e $(call quoted,$(DATASET)) -a -e $(call quoted,$(TAXDUMP)) || { echo 'make real: no '$(call quoted,$(DATASET))' or no '$(call quoted,$(TAXDUMP))'; give DATA=FOLDER, or DATASET=FILE TAXDUMP=FILE' >&2; exit 2; }
	mkdir -p $(call quoted,$(RUN))
	snakemake --directory $(call quoted,$(RUN)) $(JOBS) --configfile config/small.yaml $(SOURCES)
	snakemake --directory $(call quoted,$(RUN)) --configfile config/small.yaml $(SOURCES) --report report.html
	@echo
	@cat $(call quoted,$(RUN))/results/summary.md
	@echo "Everything on one page, with pictures: $(RUN)/report.html"

explain: venv
	@test -n $(call quoted,$(FASTA)) || { echo 'make explain: give FASTA=FILE (FASTA, FASTQ or GenBank, packed or not)' >&2; exit 2; }
	@test -e $(call quoted,$(MODEL)) || { echo 'make explain: no model in '$(call quoted,$(MODEL))': run make demo first, or give MODEL=FOLDER' >&2; exit 2; }
	python scripts/explain_sequences.py --model $(call quoted,$(MODEL)) --fasta $(call quoted,$(FASTA)) \
	  --output-dir $(call quoted,$(OUT)) $(OPTIONS)
	@echo "The page: $(OUT)/index.html"

# CONFIG= (empty) takes the tiny configuration of the tests
chaos: venv
	python tests/chaos.py --runs $(N) --signals $(SIGNALS) --at-once $(AT_ONCE) $(if $(CONFIG),--config $(CONFIG)) -- $(JOBS)

envs-test: venv
	tests/envs_test.sh $(JOBS)

# with the threads of make demo, and so the same Table 1
slurm-test: venv
	tests/slurm_test.sh $(THREADS)

bench: venv
	python tests/bench/bench.py

# without the trainings of the demo in both precisions; a test reads the sections
bench-quick: venv
	python tests/bench/bench.py --quick --sections tokenization objective data_stages training_steps explaining

# elsewhere, with packages of its own: python3 tests/bench/bench.py --sections gpu --output benchmarks/gpu
bench-gpu: venv
	python tests/bench/bench.py --sections gpu --output benchmarks/gpu

findings: venv
	python tests/findings/findings.py $(PART) --layers $(LAYERS) --seed $(SEED) \
	  $(if $(filter real,$(PART)),--dataset $(call quoted,$(DATASET)) --taxdump $(call quoted,$(TAXDUMP))) \
	  $(if $(DATA),--data $(call quoted,$(DATA))) $(if $(ENCODER),--encoder $(call quoted,$(ENCODER))) -- $(JOBS)

clean:
	for own in .test .test/text; do rm -rf $$own/report.html $$own/results $$own/resources $$own/logs \
	  $$own/benchmarks $$own/checkpoints $$own/.snakemake; done

requirements: requirements.in
	rm -rf .requirements && $(PYTHON) -m venv .requirements
	.requirements/bin/python -m pip install --quiet --requirement requirements.in
	{ echo "# Made from requirements.in by make requirements."; \
	  grep "python_version" requirements.in | sed 's/ *#.*//'; \
	  .requirements/bin/python -m pip freeze | sed 's/+cpu$$//' | grep -vE '^(nvidia-|triton|cuda-|legacy-cgi|pybigtools|pyBigWig)'; } > requirements.txt
	rm -rf .requirements
