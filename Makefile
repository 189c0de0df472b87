# make demo and make test each work alone on a fresh clone with Python >= 3.11.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: help demo test check wheel clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    install everything into .venv and run the main job"
	@echo "make test    install everything into .venv and run the tests"
	@echo "make check   format, lint, types, tests: all that a change must pass"
	@echo "make wheel   build the wheel and try it from outside the repository"
	@echo "make clean   remove .venv, build leftovers and results"

# A stamp for each set of extras, renewed when the requirements change.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "bidual needs Python 3.11 or newer, and '$(PYTHON)' is not: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(1)]'
	@touch $@
endef

$(VENV)/.all: pyproject.toml
	$(call install,all)

$(VENV)/.test: pyproject.toml
	$(call install,all$(comma)test)

$(VENV)/.dev: pyproject.toml
	$(call install,dev)

comma := ,

demo: $(VENV)/.all
	$(RUN)/bidual demo

test: $(VENV)/.test
	$(RUN)/python -m pytest -c tests/pytest.ini --rootdir=tests tests

# The editable install is an import hook that mypy can't follow, so it reads a plain one.
check: $(VENV)/.dev
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	rm -rf build/typed
	$(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/typed .
	MYPYPATH=build/typed $(RUN)/mypy -p bidual
	$(MAKE) test

wheel: $(VENV)/.dev
	bash tests/try_wheel.sh $(RUN)/python

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
