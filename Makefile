# Needs Python 3.11 or newer, make and git. Without make: see README.md.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
SOURCES := cookiecutter_django_oidc_v1 tests benchmarks
export PATH := $(BIN):$(PATH)
unexport VIRTUAL_ENV

.PHONY: demo test clean

# Render the default site into demo/ and start it with the development OP.
demo: .venv/installed
	cookiecutter . --no-input --default-config --overwrite-if-exists --output-dir demo
	cd demo/my_site && uv run --python "$(BIN)/python" manage.py dev

# Check everything: the questions, the rendered files, and sites that really run.
test: .venv/installed
	ruff check $(SOURCES)
	ruff format --check $(SOURCES)
	pytest

clean:
	rm -rf .venv demo

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check uv
	uv pip install --quiet --compile-bytecode --python "$(BIN)/python" --requirements pyproject.toml --group dev
	touch $@
