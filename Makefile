PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PAGE := $(BIN)/python query/web/build.py

.DEFAULT_GOAL := help
.PHONY: help up down demo page test check format bench docs screenshots build lock clean

help: ## Show this list.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1	\2/' | expand -t 20

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Ganglion needs Python 3.11 or newer; name it with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Making the environment in $(VENV)/ (about a minute, once)"
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { echo "Python's venv module does not work; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: $(STAMP) ## Start PostgreSQL, the collector and, where installed, Prometheus, until healthy.
	@$(PAGE) || echo "Starting without the page; once that is mended: make page" >&2
	@$(BIN)/ganglion up

down: $(STAMP) ## Stop everything; data stays.
	@$(BIN)/ganglion down

demo: $(STAMP) ## Send real requests through an instrumented service and show a trace.
	@$(BIN)/python examples/demo.py $(ARGS)

page: $(STAMP) ## Build the web page, where its sources have changed.
	@$(PAGE)

test: page ## Run the tests; ARGS= goes to pytest.
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP) ## Lint, type-check, and check layers, documents and shipped configurations.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_docs.py
	$(PAGE) check
	$(PAGE) test
	@if command -v promtool >/dev/null && command -v amtool >/dev/null; \
	then $(BIN)/python -m pytest -q tests/deploy/test_rules.py tests/deploy/test_alertmanager.py::test_the_configuration_is_valid; \
	else echo "Alerts are not checked; for that: apt-get install prometheus prometheus-alertmanager"; fi
	$(BIN)/python -m deploy.grafana.boards --check
	$(BIN)/ganglion validate --config otel-collector.yaml

format: $(STAMP) ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(PAGE) format

bench: $(STAMP) ## Measure every figure we claim; ARGS= chooses.
	@$(BIN)/python -m bench $(ARGS)

docs: $(STAMP) ## Rewrite what is generated: parts of the documents, Grafana's dashboards.
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m deploy.grafana.boards

screenshots: page ## Take the screenshots of the documents again.
	@$(BIN)/python -m tests.query.page.screenshots

build: page ## Build the wheel, the page in it, and check it in a bare environment.
	@$(BIN)/python -m hatchling build -t wheel
	@$(BIN)/python -m pytest -q tests/test_packaging.py

lock: $(STAMP) ## Pin all dependencies again.
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 --all-extras --group dev --group bench -o requirements.lock pyproject.toml

clean: ## Remove the environment and caches; data stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build query/web/node_modules query/web/.npm query/ganglion_query/_page
