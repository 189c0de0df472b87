# make demo and make test each work alone on a fresh clone with Python >= 3.11.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

# Where BLAS, solvers and Numba meet, spinning threads put each other to sleep.
export OMP_WAIT_POLICY ?= passive

# Tests start many processes; without bytecode on disk each would compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=

PIP := $(RUN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# A worker for each core, as most tests use no more than one, but no more than memory holds.
# tests/pytest.ini says what the marks mean.
PYTEST := $(RUN)/python -m pytest -c tests/pytest.ini --rootdir=tests tests \
  -n logical --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo quick test test-all test-processors test-night lint types check wheel clean

help:
	@echo "make demo      install everything into .venv and run the main job"
	@echo "make test      install everything into .venv and pass the tests"
	@echo "make quick     most of these tests, each with its first parameters"
	@echo "make test-all  the rest: long proofs, networks of other libraries, a short round of the benchmarks"
	@echo "make test-processors  the tests of floating point, as on two older processors; in test-all"
	@echo "make test-night  what takes minutes a test, and new examples: once per release"
	@echo "make check     format, lint, types and tests: all that a change must pass"
	@echo "make wheel     build the wheel and try it from outside the repository"
	@echo "make clean     remove .venv, build leftovers and results"

demo: $(VENV)/.all
	$(RUN)/bidual demo
	$(RUN)/python -I certificates/checker.py out/compare.cert

test: $(VENV)/.test
	$(PYTEST) --hypothesis-profile=short -m "not slow and not night"

# Files whose tests take a while each: they start processes, draw pictures or grow dictionaries.
quick: $(VENV)/.test
	$(PYTEST) --hypothesis-profile=short -m "not slow and not night" --first-cases \
	  $(patsubst %,--ignore-glob="*/test_%.py",cli packed_file threads network_plots pretrained growing certificate_docs)

test-all: $(VENV)/.interop $(VENV)/.bench
	$(PYTEST) -m "(slow or hypothesis) and not night"
	$(RUN)/python tests/on_processors.py
	$(RUN)/python benchmarks/kernels.py --rounds 2
	$(RUN)/python benchmarks/rollout.py --rounds 3
	$(RUN)/python benchmarks/scaling.py --most 10000 --most-rows 1000
	$(RUN)/python benchmarks/certificates.py --small
	$(RUN)/python benchmarks/admm.py --small
	$(RUN)/python benchmarks/depth.py --depths 1 2 --seeds 0 --sweeps 3 --warm-up 1
	$(RUN)/python benchmarks/race.py --programs squared-0.5 --cap 10 --rounds 1

test-processors: $(VENV)/.test
	$(RUN)/python tests/on_processors.py

test-night: $(VENV)/.test
	$(PYTEST) -m night
	$(PYTEST) --hypothesis-profile=anew -m "hypothesis and not night"

lint: $(VENV)/.dev
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .

# An editable install is an import hook, which mypy can't follow: it reads a plain one.
types: $(VENV)/.dev
	rm -rf build
	$(PIP) --no-deps --target build/types .
	MYPYPATH=build/types $(RUN)/mypy -p bidual

check: lint types test

wheel: $(VENV)/.dev
	.ci/try_wheel $(RUN)/python

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One stamp for each set of extras; pyproject.toml and constraints.txt renew them.
$(VENV)/.all: EXTRAS = all
$(VENV)/.test: EXTRAS = all,test
$(VENV)/.interop: EXTRAS = all,test,interop
$(VENV)/.bench: EXTRAS = all,test,bench
$(VENV)/.dev: EXTRAS = dev
$(VENV)/.all $(VENV)/.test $(VENV)/.interop $(VENV)/.bench $(VENV)/.dev: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "bidual needs Python 3.11 or newer as '$(PYTHON)'; name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "'$(PYTHON)' lacks the venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[$(EXTRAS)]'
	@touch $@
