# Needs Python 3.11 or newer, make and git. Without make: see README.md.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
SOURCE := {{cookiecutter.project_slug}}
LINTED := cookiecutter_django_oidc_v2 tests benchmarks "$(SOURCE)/oidc"
export PATH := $(BIN):$(PATH)
unexport VIRTUAL_ENV

.PHONY: demo test lint types test-relying-party test-matrix test-generator test-sites rules pictures bench clean

# Render the default site into demo/, unless it is there, and start it with its sign-in service.
demo: .venv/cookiecutter
	@if [ -e demo/my_site ]; then echo "demo/my_site exists and is kept as it is; 'make clean' removes it."; \
	else cookiecutter . --no-input --default-config --output-dir demo; fi
	cd demo/my_site && uv run --python "$(BIN)/python" manage.py dev

# Check everything; the end says what could not be tested on this machine.
test: lint types test-relying-party
	python -m tests.relying_party.rules --check
	python -m tests.relying_party.reasons --check
	pytest

# The site's source is imported as it stands, and rendered as it stands: no tool may leave a cache in it.
lint types: export PYTHONDONTWRITEBYTECODE := 1
lint types: export PYTHONPATH := $(CURDIR):$(CURDIR)/$(SOURCE)

lint: .venv/installed
	ruff check --config pyproject.toml $(LINTED)
	ruff format --config pyproject.toml --check $(LINTED)
	lint-imports

types: .venv/installed
	mypy

# The relying party: the source, with DJANGO=6.1 in an environment made for that Django, or SITE=../my_site, the copy of
# a site with that site's installed packages. ARGS go to pytest: ARGS="-k logout".
test-relying-party: .venv/installed
	python -m tests.relying_party $(if $(SITE),"$(SITE)") $(if $(DJANGO),--django $(DJANGO)) -- $(ARGS)

# Write docs/security-rules.md: which test proves which rule, as a run of all of them has shown; and docs/reasons.md and
# docs/providers.md.
rules: test-relying-party
	python -m tests.relying_party.rules
	python -m tests.relying_party.reasons
	python -m tests.generator.providers

# The relying party's source with every Python of this machine, and each Django.
test-matrix: .venv/installed
	python -m tests.relying_party --matrix

# Take the pictures of README.md and docs/ from a default site that runs.
pictures: .venv/installed
	python -m tests.sites.pictures

# Measure a default site beside its peers, in 20 minutes, and write docs/benchmark.md and .svg: see benchmarks/README.md.
bench: .venv/installed
	python -m benchmarks.peers $(ARGS)

test-generator test-sites: .venv/installed
	pytest tests/$(@:test-%=%)

clean:
	rm -rf .venv demo .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/cookiecutter: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check uv
	uv pip install --quiet --python "$(BIN)/python" --requirements pyproject.toml
	touch $@

.venv/installed: .venv/cookiecutter
	uv pip install --quiet --compile-bytecode --python "$(BIN)/python" --requirements pyproject.toml --group dev
	touch $@
