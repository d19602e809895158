# `make` lists the targets. Everything is set up on first use, inside this folder: uv in .tools, packages in .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.8
INDEX ?=

STORY ?= stories/watercolor.yaml
BASE ?= auto
RUNS ?= runs
ARGS ?=
ENTRY ?=
LIST ?=
PUSH ?=

TOOLS := $(CURDIR)/.tools
BIN := $(CURDIR)/.venv/bin
STAMP := .venv/.locked
SUBMIT := "$(BIN)/kolors-submit"
PLACE = --base "$(BASE)" --runs "$(RUNS)" $(ARGS)
# Nothing but uv's cache (UV_CACHE_DIR, by default in the home folder) is written outside this folder.
export UV_PYTHON_INSTALL_DIR := $(TOOLS)/python
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
unexport VIRTUAL_ENV

.PHONY: help
help: ## list the targets
	@echo "make TARGET [STORY=$(STORY)] [BASE=auto|kolors|picturebook|PATH] [RUNS=runs] [ARGS='--set train.rank=32 …']"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ------------------------------------------------------------------------------------------------ set-up

.PHONY: setup
setup: $(if $(INDEX),setup-from-index,$(STAMP)) ## install the locked packages (INDEX=URL: the same, from a mirror)

# $(uv) is uv from PATH where it is recent enough, else one of our own; pip --target also works where pip may not write
# to the system's Python (PEP 668).
define find_uv
uv=$$(command -v uv || true); \
have=$$("$${uv:-false}" --version 2>/dev/null | awk '{print $$2}' || true); \
if [ -z "$$have" ] || [ "$$(printf '%s\n' $(UV_VERSION) "$$have" | sort -V | head -n 1)" != $(UV_VERSION) ]; then \
  uv="$(TOOLS)/bin/uv"; \
  if [ "$$("$$uv" --version 2>/dev/null | awk '{print $$2}')" != $(UV_VERSION) ]; then \
    command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON); install Python 3.11 or 3.12 (Debian, Ubuntu: apt install python3 python3-pip)" >&2; exit 2; }; \
    $(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "make: $(PYTHON) has no pip; install it (Debian, Ubuntu: apt install python3-pip) or uv $(UV_VERSION)" >&2; exit 2; }; \
    $(PYTHON) -m pip install --quiet --no-cache-dir --disable-pip-version-check --upgrade $(if $(INDEX),--index-url "$(INDEX)") \
      --target "$(TOOLS)" uv==$(UV_VERSION); \
  fi; \
fi
endef

$(STAMP): uv.lock pyproject.toml
	@$(find_uv); "$$uv" sync --locked
	@touch $@

# uv.lock names PyPI's own files, so a mirror gets the lock's names, versions and hashes as requirements.
.PHONY: setup-from-index
setup-from-index:
	@$(find_uv); \
	mkdir -p "$(TOOLS)"; \
	"$$uv" export --locked --quiet --no-emit-project --format requirements-txt --output-file "$(TOOLS)/requirements.txt"; \
	[ -d .venv ] || "$$uv" venv --quiet .venv; \
	"$$uv" pip sync --python .venv --require-hashes --compile-bytecode --default-index "$(INDEX)" "$(TOOLS)/requirements.txt"; \
	"$$uv" pip install --python .venv --no-deps --default-index "$(INDEX)" --editable .
	@touch $(STAMP)

# ------------------------------------------------------------------------------------------------ the pipeline

.PHONY: submission data train render score bundle
submission: $(STAMP) ## data -> train -> render -> score -> bundle -> check [-> publish with PUSH=1, or PUSH='--its options']; again: only what changed
data: $(STAMP) ## fetch, filter and crop the training pictures
train: $(STAMP) ## train the LoRA
render: $(STAMP) ## render the story's panels
score: $(STAMP) ## score the panels
bundle: $(STAMP) ## put together what is published
submission data train render score bundle:
	@$(SUBMIT) $@ "$(STORY)" $(PLACE)
	$(if $(and $(PUSH),$(filter submission,$@)),@$(SUBMIT) publish --story "$(STORY)" $(PLACE) $(filter-out 1,$(PUSH)))

.PHONY: check publish reproduce import explore compare export write story weights doctor
check: $(STAMP) ## hold the story's bundle to every rule, or with ENTRY= any other
	@$(SUBMIT) check $(if $(ENTRY),"$(ENTRY)" $(ARGS),--story "$(STORY)" $(PLACE))
publish: $(STAMP) ## send the story's bundle to its hub, or with ENTRY= another: make publish ARGS='--repo owner/Name'
	@$(SUBMIT) publish $(if $(ENTRY),"$(ENTRY)" $(ARGS),--story "$(STORY)" $(PLACE))
reproduce: $(STAMP) ## render anybody's entry again and compare: make reproduce ENTRY=owner/Name (a folder, a zip, hub:id)
	@[ -n "$(ENTRY)$(LIST)" ] || { echo "make: say which: make reproduce ENTRY=owner/Name, or a bundle's folder or zip, or LIST=entries.txt" >&2; exit 2; }
	@$(SUBMIT) reproduce $(if $(LIST),--list "$(LIST)","$(ENTRY)") --base "$(BASE)" $(ARGS)
import: $(STAMP) ## make a bundle of an entry of another program: make import ENTRY=owner/Name (a folder, a zip, hub:id)
	@[ -n "$(ENTRY)" ] || { echo "make: say which: make import ENTRY=owner/Name, or an entry's folder or zip" >&2; exit 2; }
	@$(SUBMIT) import "$(ENTRY)" --base "$(BASE)" $(ARGS)
explore: $(STAMP) ## try seeds and settings for the story's panels, choose, write the seeds back: make explore ARGS='--seeds 8'
	@$(SUBMIT) explore "$(STORY)" $(PLACE)
compare: $(STAMP) ## lay runs side by side: make compare ARGS='runs/a/kolors runs/b/kolors'
	@$(SUBMIT) compare $(ARGS)
export: $(STAMP) ## write a LoRA in another program's keys: make export ARGS='lora.safetensors --to diffusers'
	@$(SUBMIT) export $(ARGS)
write: $(STAMP) ## have a chat model write a story: make write ARGS='"一个…的故事" --style 水墨 --out stories/new.yaml'
	@$(SUBMIT) write $(ARGS)
story: $(STAMP) ## check the story file
	@$(SUBMIT) story check "$(STORY)" $(ARGS)
weights: $(STAMP) ## list known weights; ARGS='fetch kolors' or ARGS=verify
	@$(SUBMIT) weights $(or $(ARGS),list)
doctor: $(STAMP) ## say what this machine has and lacks
	@$(SUBMIT) doctor --story "$(STORY)" --base "$(BASE)" --runs "$(RUNS)" $(ARGS)

# ------------------------------------------------------------------------------------------------ the container image

# BASE_IMAGE= is another base than NVIDIA's, ENGINE= docker, podman or buildah; IMAGE= another name.
export BASE_IMAGE ENGINE IMAGE

.PHONY: image image-test image-run image-push
image: ## build the container image with docker, podman or buildah (docker/README.md)
	@docker/image.sh build
image-test: ## build the image and try it: doctor, a submission offline, SIGTERM and on again, the tests inside
	@docker/test.sh
image-run: ## run a story in the image: make image-run STORY=stories/mine.yaml BASE=kolors
	@STORIES="$$(dirname "$(STORY)")" RUNS="$(RUNS)" docker/image.sh run \
	  submission "stories/$$(basename "$(STORY)")" --base "$(BASE)" $(ARGS)
image-push: ## push the image: make image-push IMAGE=registry.example.com/team/kolors-submit:0.1.0
	@[ -n "$(IMAGE)" ] || { echo "make: say where: make image-push IMAGE=REGISTRY/NAME:TAG" >&2; exit 2; }
	@env -u IMAGE docker/image.sh push "$(IMAGE)"

# ------------------------------------------------------------------------------------------------ development

.PHONY: lint format test test-all bench clean
lint: $(STAMP) ## ruff and mypy
	@"$(BIN)/ruff" check . && "$(BIN)/ruff" format --check . && "$(BIN)/mypy"
format: $(STAMP) ## let ruff format and mend
	@"$(BIN)/ruff" check --fix . && "$(BIN)/ruff" format .
test: $(STAMP) ## the fast test suite
	@OMP_NUM_THREADS=1 "$(BIN)/pytest" -m "not slow and not gpu" --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)
test-all: $(STAMP) ## every test
	@"$(BIN)/pytest" $(ARGS)
bench: $(STAMP) ## measure this machine's GPU beside DiffSynth and diffusers (18 GB of random weights in TMPDIR, 8 minutes)
	@"$(BIN)/python" bench/gpu.py $(ARGS) && "$(BIN)/python" bench/gpu.py --table
clean: ## delete set-up and caches; your runs, weights and stories stay
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find kolors_submit tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
