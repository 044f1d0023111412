# make help lists the targets.
.DEFAULT_GOAL := help
.PHONY: help book test check lint quick faults mutate audit bench records records-fresh serve pdf dist clean reference

# Names of files and output may hold any character, whatever the user's locale says. What is imported is compiled then,
# and kept: the installation compiles nothing, which would take as long as all the rest of it.
export PYTHONUTF8 := 1
ifneq ($(shell locale charmap 2>/dev/null),UTF-8)
export LC_ALL := C.UTF-8
endif
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt
INSTALLED := $(VENV)/.installed
TESTABLE := $(VENV)/.testable

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

# An environment serves the checkout that it was made in: elsewhere its programs run another checkout's package.
MADE_HERE := $(shell test "$$(cat $(INSTALLED) 2>/dev/null)" = "$(CURDIR)" && echo yes)
ifneq ($(MADE_HERE),yes)
.PHONY: $(INSTALLED)
endif

define CHECK_PYTHON
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit("error: Python 3.11 to 3.14 is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12, say")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("error: this Python cannot make environments: install its venv module (Debian: apt install python3-venv)")
endef
export CHECK_PYTHON

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@test "$(MADE_HERE)" = yes && $(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@echo "installing the pinned versions into $(VENV): a minute or two"
	@$(INSTALL) -e '.[book]'
	@printf '%s' "$(CURDIR)" > $@

$(TESTABLE): $(INSTALLED)
	@echo "installing what the tests need: half a minute"
	@$(INSTALL) -e '.[test]'
	@touch $@

book: $(INSTALLED) ## Run the pages that are not fresh, then print the book: _build/html/index.html
	@$(BIN)/attention-limits run
	@$(BIN)/attention-limits build

check: book lint ## Lint, format, types, and the book built with warnings as errors

lint: $(TESTABLE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# From an empty store, two at a time.
quick: $(TESTABLE)
	@store=$$(mktemp -d) && { ATTENTION_LIMITS_STORE=$$store $(BIN)/attention-limits run --profile quick --device cpu || true; rm -rf $$store; }

# The pages' quick runs go ahead of the tests that look at them; one that fails is run and reported there.
test: book $(TESTABLE) ## make check, then all tests (the first needs the book, so it is made too)
	@$(MAKE) --no-print-directory --jobs 2 lint quick
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --junitxml _build/tests.xml

mutate: $(TESTABLE) ## Edit page or package so that each claim must fail, and list those that survive; minutes a page, goes on where it was stopped
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m tests.mutations

# Only a run whose contests all agreed comes so far.
define PUBLISH_BENCHMARKS
from pathlib import Path
from attention_limits.experiments.records import records_folder
from attention_limits.performance.report import publish_report
publish_report(Path("_build/benchmarks.json"), records_folder() / "benchmarks.json")
print("published in records/benchmarks.json: make book shows it")
endef
export PUBLISH_BENCHMARKS

faults: $(TESTABLE) ## Kill each kind of process at ten moments and see that the next run gives the same book, some ten minutes
	$(BIN)/pytest --numprocesses auto -m faults tests/companion/test_faults.py

# Where no database answers nothing is known: that is said, and is no failure.
define AUDIT
import subprocess, sys
pinned = [line for line in open("constraints.txt", encoding="utf-8") if "==" in line]
command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-r", "constraints.txt"]
result = subprocess.run(command, capture_output=True, text=True)
unknown = result.stdout.count("could not be audited") if result.stdout else len(pinned)
print("".join(line for line in result.stdout.splitlines(keepends=True) if "could not be audited" not in line), end="")
print(f"{len(pinned) - unknown} of {len(pinned)} pinned versions were looked up")
sys.exit("known vulnerabilit" in result.stderr and "No known vulnerabilit" not in result.stderr)
endef
export AUDIT

audit: $(INSTALLED) ## Look the pinned versions up among known vulnerabilities; without a network it says that it could not
	@$(INSTALL) -e '.[audit]' \
		|| { echo "not audited: pip-audit could not be installed"; exit 0; } && $(BIN)/python -c "$$AUDIT"

bench: $(TESTABLE) ## Time attention, training and evaluation against the usual ways, some 8 minutes, and publish it: records/benchmarks.json
	@$(INSTALL) -e '.[bench]'
	@mkdir -p _build
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest -c benchmarks/pytest.ini benchmarks --benchmark-json=_build/benchmarks.json
	@$(BIN)/python -c "$$PUBLISH_BENCHMARKS"

records: $(INSTALLED) ## Train what the pages show and publish it in records/; prints its hours first, and goes on where it was stopped
	@$(BIN)/attention-limits records

records-fresh: $(INSTALLED) ## The same from nothing, also what today's code has recorded
	@$(BIN)/attention-limits records --fresh

serve: book ## Serve the book on http://localhost:8000
	@echo "http://localhost:8000/ (Ctrl-C ends)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory _build/html

pdf: book ## Print the book as one PDF, _build/attention-limits.pdf; needs Chromium or Chrome
	@$(BIN)/attention-limits pdf

dist: $(INSTALLED) ## Make a wheel of the package in dist/
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

reference: $(TESTABLE) ## Measure tests/reference/*.json anew, several seeds a page
	$(BIN)/python -m tests.reference.measure

clean: ## Remove what was built, but for the environment and the store of trained results
	if [ -d _build ]; then find _build/ -mindepth 1 -maxdepth 1 ! -name store -exec rm -rf {} +; fi
