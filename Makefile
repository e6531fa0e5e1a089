# `make demo` and `make test` set everything up first, on a fresh Debian or Ubuntu machine; a second run skips what is done.
# pip's own settings (pip.conf, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, ...) decide where packages come from.

PYTHON ?= python3
TORCH ?= torch==2.13.0
SYSTEM_PACKAGES ?= libegl1 libopengl0 libgl1-mesa-dri libosmesa6
VENV ?= .venv
ROS_VENV ?= .venv-ros
MINUTES ?=

PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
SYNCMV4D := $(VENV)/bin/syncmv4d
SOURCES := syncmv4d_model syncmv4d_cli syncmv4d_sim syncmv4d_ros tests scripts setup.py ros_messages

# Another PYTHON makes a new environment; only changed packages keep the old one.
WHICH_PYTHON := 'import sys; print(sys.base_prefix, sys.version)'

# A changed PYTHON, TORCH or SYSTEM_PACKAGES has another stamp, so it is installed again.
key = $(shell printf '%s' '$(1)' | cksum | cut -d' ' -f1)
SYSTEM_STAMP := $(VENV)/.system-$(call key,$(PYTHON) $(SYSTEM_PACKAGES))
TORCH_STAMP := $(VENV)/.torch-$(call key,$(TORCH))
RUN_STAMP := $(VENV)/.run
DEV_STAMP := $(VENV)/.dev
CELL_STAMP := $(VENV)/.ros
ROS_STAMP := $(ROS_VENV)/.installed
MESSAGES := pyproject.toml setup.py CMakeLists.txt $(wildcard msg/*.msg action/*.action ros_messages/*.*)

.PHONY: help demo test format lint train-nano clean
.DELETE_ON_ERROR:

help:
	@echo "make demo        set up, generate for one unseen scene and evaluate, then the same over ROS 2 with a robot arm: out/demo/"
	@echo "make test        set up, then run every test"
	@echo "make format      rewrite the sources in the project's style"
	@echo "make lint        style, likely mistakes and types"
	@echo "make train-nano  train a nano checkpoint with a finder from nothing and score it: out/train-nano/; with MINUTES=8 it stops"
	@echo "                 after 8 minutes, whatever it is doing, and the same command goes on"
	@echo "make clean       remove the environment and caches (out/, data/ and runs/ stay)"
	@echo "variables: PYTHON=$(PYTHON) TORCH=$(TORCH) VENV=$(VENV) MINUTES=$(MINUTES)"

demo: $(RUN_STAMP)
	$(SYNCMV4D) demo
	$(MAKE) $(CELL_STAMP)
	@if [ -f $(VENV)/.why-not ]; then echo "The robot cell was not run: $$(cat $(VENV)/.why-not)"; \
	else echo "$(SYNCMV4D) demo --cell"; $(SYNCMV4D) demo --cell; fi

# The robot's side again where ROS 2 is installed and torch is not.
test: $(DEV_STAMP) $(ROS_STAMP)
	@failed=0; $(VENV)/bin/python -m pytest -n 2 --dist loadfile || failed=1; \
	if [ -f $(ROS_VENV)/.why-not ]; then echo "ROS 2 was not tested: $$(cat $(ROS_VENV)/.why-not)"; \
	else echo "$(ROS_VENV): ROS 2 without torch"; $(ROS_VENV)/bin/python -m pytest tests/ros || failed=1; fi; \
	[ $$failed = 0 ] || echo "tests failed: see above"; exit $$failed

format: $(DEV_STAMP)
	$(VENV)/bin/ruff check --fix $(SOURCES)
	$(VENV)/bin/ruff format $(SOURCES)

lint: $(DEV_STAMP)
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

train-nano: $(RUN_STAMP)
	$(SYNCMV4D) train nano $(if $(MINUTES),--minutes $(MINUTES))

clean:
	rm -rf $(VENV) $(ROS_VENV) .venv-colcon build ros_messages/build .pytest_cache .ruff_cache .hypothesis *.egg-info ros_messages/*.egg-info

$(SYSTEM_STAMP):
	scripts/system_packages.sh '$(PYTHON)' $(SYSTEM_PACKAGES)
	$(VENV)/bin/python -m pip --version >/dev/null 2>&1 \
	    && [ "$$('$(PYTHON)' -c $(WHICH_PYTHON))" = "$$($(VENV)/bin/python -c $(WHICH_PYTHON))" ] \
	    || '$(PYTHON)' -m venv --clear $(VENV)
	touch $@

# torch first: the project's own range, asked for on a machine without torch, would let pip take any build.
$(TORCH_STAMP): $(SYSTEM_STAMP)
	$(PIP) install $(TORCH)
	touch $@

$(RUN_STAMP): $(TORCH_STAMP) pyproject.toml setup.py
	$(PIP) install -e '.[model,sim,eval]'
	touch $@

$(DEV_STAMP): $(TORCH_STAMP) pyproject.toml setup.py
	$(PIP) install -e '.[all]'
	touch $@ $(RUN_STAMP)

# beside torch: one process generates, others carry it out
$(CELL_STAMP): $(TORCH_STAMP) $(MESSAGES)
	scripts/ros_environment.sh '$(PYTHON)' $(VENV) model,sim,eval,ros
	touch $@

$(ROS_STAMP): $(SYSTEM_STAMP) $(MESSAGES)
	scripts/ros_environment.sh '$(PYTHON)' $(ROS_VENV) ros,sim,test
	touch $@
