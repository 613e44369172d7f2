# make help lists the targets. Everything is installed into .venv, from the pins of constraints.txt.
PYTHON ?= python3
DATASET ?=
DATA_DIR ?=
SIZE ?= 512x512
RECIPE ?= paper
UNIT ?= image
OUT ?= data/tfrecords
BEAM_ARGS ?=
BASE ?= mobilenetv2
TRAIN_ARGS ?=
RUN ?=
ARGS ?=
ONLY ?=
EXPERIMENT_ARGS ?=
MINUTES ?= 5
SEED ?= 1

VENV := .venv
BIN := $(VENV)/bin
comma := ,
empty :=
space := $(empty) $(empty)
# quoted(NAME): the value of a variable as one word of the shell, whatever stands in it
quoted = '$(subst ','\'',$(value $(1)))'
sizes = $(subst $(space),$(comma),$(strip $(SIZE)))
DEMO_RECORDS := data/demo
# where an OUT was given, the records made there
records = $(if $(filter-out file,$(origin OUT)),--dataset_dir=$(call quoted,OUT))

# install(extras): uv where it is at hand, pip otherwise
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: $(PYTHON) is no Python 3.10 or newer; give one with make PYTHON=..."; exit 2; }
	@if command -v uv >/dev/null; then \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.$(1)'; \
	else \
	  test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.$(1)'; \
	fi
	@touch $@
endef

# the shell's $$run: RUN, else the run evaluated last
define find_run
run=$(call quoted,RUN); test -n "$$run" || run=$$(ls -t runs/*/predictions.csv 2>/dev/null | head -n 1); \
	test -n "$$run" || { echo "error: no finished run under runs/; make demo, or give RUN=FOLDER"; exit 2; }; \
	run="$${run%/predictions.csv}"
endef

.PHONY: help install tfrecords verify train cross_validate tune predict explain compare export report experiments state_of_the_art demo test lint benchmarks fuzz constraints gallery golden clean
.DEFAULT_GOAL := help

help: ## this list
	@echo "targets:"
	@grep -E '^[a-z_]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z_]+):.*## (.*)/  \1\t\2/' | expand -t 20
	@echo "variables, with their defaults:"
	@echo "  DATASET=        cbis_ddsm, mini_mias, phantom, ... (see docs/data.md); empty: what lies under"
	@echo "                  data/, else phantom"
	@echo "  DATA_DIR=       folder of images and tables; empty: data/<dataset>"
	@echo "  SIZE=$(SIZE)    height x width, one or more: SIZE=\"512x512 2048x1376\""
	@echo "  RECIPE=$(RECIPE)    plain, paper, paper_8bit, best_practice or a list of steps; one or more"
	@echo "  UNIT=$(UNIT)     of one record: image, breast (CC and MLO) or exam (four views)"
	@echo "  OUT=$(OUT)"
	@echo "  BEAM_ARGS=      options of the conversion and of Beam: --dry_run, --runner=..., ..."
	@echo "  BASE=$(BASE)    mobilenetv2, vgg19, resnet50, ... any of keras.applications"
	@echo "  TRAIN_ARGS=     options of the trainer: --weights=PATH, --flagfile=..., ..."
	@echo "  RUN=            run of make predict, explain, export, report; empty: the one evaluated last"
	@echo "                  under runs/; of make compare, several"
	@echo "  ARGS=           images and options of the command: make predict ARGS=\"exam/ --noheat_maps\""
	@echo "  ONLY=           experiments to run: ONLY=\"c h\"; empty: all of flags/experiments"
	@echo "  EXPERIMENT_ARGS=  options of every one of them: --phase1_epochs=5, ..."
	@echo "  MINUTES=$(MINUTES) SEED=$(SEED)  of make fuzz"
	@echo "  PYTHON=$(PYTHON)"

$(VENV)/.installed: pyproject.toml constraints.txt
	$(call install,)

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	$(call install,[dev])
	@touch $(VENV)/.installed

install: $(VENV)/.installed ## install into .venv

tfrecords: $(VENV)/.installed ## images -> TFRecords
	$(BIN)/python -m beam_jobs.tfrecords $(if $(DATASET),--dataset=$(DATASET)) \
	  $(if $(value DATA_DIR),--data_dir=$(call quoted,DATA_DIR)) --sizes=$(sizes) \
	  $(foreach recipe,$(RECIPE),--recipe=$(recipe)) --unit=$(call quoted,UNIT) --output_dir=$(call quoted,OUT) $(BEAM_ARGS)

verify: $(VENV)/.installed ## re-read every record under OUT and name any damage
	$(BIN)/python -m beam_jobs.verify $(call quoted,OUT)

train: $(VENV)/.installed ## TFRecords -> model and report
	$(BIN)/python -m trainer --base=$(BASE) $(records) $(TRAIN_ARGS) $(ARGS)

cross_validate: $(VENV)/.installed ## every fold predicted by a network that never saw it
	$(BIN)/python -m trainer cross_validate --base=$(BASE) $(records) $(TRAIN_ARGS) $(ARGS)

tune: $(VENV)/.installed ## search flags: ARGS="--space=FILE"
	$(BIN)/python -m trainer tune --base=$(BASE) $(records) $(TRAIN_ARGS) $(ARGS)

predict: $(VENV)/.installed ## predict images of your own: ARGS="IMAGE_OR_FOLDER..."
	@$(find_run); exec $(BIN)/python -m trainer predict --run="$$run" $(ARGS)

explain: $(VENV)/.installed ## heat maps of a run
	@$(find_run); exec $(BIN)/python -m trainer explain --run="$$run" $(ARGS)

export: $(VENV)/.installed ## a run's model for other programs, with a model card
	@$(find_run); exec $(BIN)/python -m trainer export --run="$$run" $(ARGS)

compare: $(VENV)/.installed ## finished runs side by side: RUN="runs/a runs/b"
	$(BIN)/python -m trainer compare $(RUN) $(ARGS)

report: $(VENV)/.installed ## score a finished run again and rewrite its report, in seconds
	@$(find_run); exec $(BIN)/python -m trainer report --run="$$run"

experiments: $(VENV)/.installed ## run the published experiments in turn and compare them
	$(BIN)/python -m trainer experiments $(if $(ONLY),--only=$(call quoted,ONLY)) $(EXPERIMENT_ARGS)

# the official sets without and with the patients that stand in both, images and breasts of each
state_of_the_art: $(VENV)/.installed ## CBIS-DDSM -> the best published recipes -> one comparison
	@for unit in image breast; do \
	  for leak in --output_dir=data/tfrecords "--output_dir=data/leak_kept --leak_policy=keep"; do \
	    $(BIN)/python -m beam_jobs.tfrecords --dataset=cbis_ddsm --sizes=1152x896 \
	      --recipe=resize:stretch --unit=$$unit $$leak \
	      $(if $(value DATA_DIR),--data_dir=$(call quoted,DATA_DIR)) $(BEAM_ARGS) || exit; \
	  done; \
	done
	$(BIN)/python -m trainer experiments --flagfiles=flags/state_of_the_art \
	  --runs=runs/state_of_the_art $(if $(ONLY),--only=$(call quoted,ONLY)) $(EXPERIMENT_ARGS)

demo: $(VENV)/.installed ## phantoms -> TFRecords -> model -> report, in minutes
	$(BIN)/python -m beam_jobs.tfrecords --dataset=phantom --flagfile=flags/experiments/demo_records.flags \
	  --output_dir=$(DEMO_RECORDS)
	$(BIN)/python -m trainer --flagfile=flags/experiments/demo.flags

test: lint ## lint, types and tests: what CI runs
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(VENV)/.installed-dev ## damaged images for MINUTES=5: an image or a reason, in time and memory
	$(BIN)/python tests/beam_jobs/imaging/fuzz.py --seconds=$$((60 * $(MINUTES))) --seed=$(SEED)

benchmarks: $(VENV)/.installed-dev ## measure conversion, decoders, input pipeline, training, ... on this machine
	$(BIN)/python -m benchmarks.conversion
	$(BIN)/python -m benchmarks.distributed
	$(BIN)/python -m benchmarks.sizes
	$(BIN)/python -m benchmarks.recipes
	$(BIN)/python -m benchmarks.input_rate
	$(BIN)/python -m benchmarks.training_step
	$(BIN)/python -m benchmarks.frozen_features
	$(BIN)/python -m benchmarks.overfit
	$(BIN)/python -m benchmarks.decoders
	$(BIN)/python -m benchmarks.bootstrap

gallery: $(VENV)/.installed ## draw docs/gallery.md anew: every step of a recipe, before and after
	$(BIN)/python -m beam_jobs.pages.recipe_gallery docs

golden: $(VENV)/.installed-dev ## rebuild the golden record of the tests and the columns in docs/data.md
	$(BIN)/python -m pytest tests/test_golden.py --rebuild-golden

constraints: ## pin every dependency anew, for every supported Python (needs uv)
	echo "# Pins for every supported Python; made by 'make constraints'." > constraints.txt
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.10 --upgrade \
	  --no-header --no-annotate --no-emit-index-url --quiet >> constraints.txt

clean: ## remove .venv and caches that make made; data/ and runs/ stay
	@if test -e $(VENV) -a ! -e $(VENV)/.installed; then \
	  echo "$(VENV) stays: it is not make's, or its installation was cut short"; \
	else rm -rf $(VENV); fi
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis mammograms_to_models.egg-info
