"""Tests a copy of the relying party, the package `oidc` of a site.

    python -m tests.relying_party                                the template's own source, in this environment
    python -m tests.relying_party SITE                           a site's copy, with that site's installed packages
    python -m tests.relying_party --python 3.13 --django 6.1     the source, in an environment made for it
    python -m tests.relying_party --services                     the source, on a PostgreSQL and a Redis of its own
    python -m tests.relying_party --matrix                       the source, with every Python found and each Django,
                                                                 the first of them on PostgreSQL and Redis

Start it in a clone of the template's repository. What follows `--` goes to pytest: `-- -k logout`. The site needs an
environment in its folder, as `uv sync` makes it; it stays as it is, and the tests' own packages are laid over it.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests import pythons
from tests.sites import services

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCE = REPOSITORY / "{{cookiecutter.project_slug}}"
TESTS = Path(__file__).resolve().parent
COVERAGE = ["--cov", "--cov-context=test", "--cov-report=term", f"--cov-config={REPOSITORY / 'pyproject.toml'}"]
# Each Django with the oldest Python that it runs on.
DJANGOS = {"5.2": (3, 11), "6.1": (3, 12)}


def main() -> int:
    options, pytest_arguments = arguments()
    if not pytest_arguments and not (
        options.matrix or options.services
    ):  # coverage says something about a whole run only
        pytest_arguments = COVERAGE
    tests = ["-m", "pytest", "-c", str(TESTS / "pytest.ini"), *pytest_arguments]
    site = Path(options.site).resolve() if options.site else SOURCE
    if not (site / "oidc" / "__init__.py").is_file():
        sys.exit(f"{site} has no package oidc: name the folder of a rendered site.")
    if options.matrix:
        statuses = [run([*command, *tests], site, on_services) for command, on_services in matrix()]
        return int(any(statuses))
    if options.site:
        return run([*in_site(site), *tests], site, options.services)
    if options.python or options.django or options.services:
        command = in_fresh_environment(options.python, options.django, options.services)
        return run([*command, *tests], site, options.services)
    if not importlib.util.find_spec("mozilla_django_oidc"):
        sys.exit("This Python lacks the packages of the tests: use .venv/bin/python after `make .venv/installed`.")
    return run([sys.executable, *tests], site)


def arguments() -> tuple[argparse.Namespace, list[str]]:
    """Return the options and what is left for pytest."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.relying_party", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("site", nargs="?", metavar="SITE", help="the folder of a rendered site, with an environment")
    parser.add_argument("--python", metavar="VERSION", help="such as 3.13, for an environment made for it")
    parser.add_argument("--django", metavar="VERSION", choices=DJANGOS, help="5.2 or 6.1, likewise")
    parser.add_argument("--services", action="store_true", help="start PostgreSQL and Redis, and test with them")
    parser.add_argument("--matrix", action="store_true", help="every Python of this machine with each Django")
    own, rest = sys.argv[1:], []
    if "--" in own:
        own, rest = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    if options.site and (options.python or options.django or options.matrix):
        parser.error("a site is tested with its own Python and its own Django")
    return options, rest


def in_site(site: Path) -> list[str]:
    """Return the command that runs the site's Python with the site's packages, and ours for testing over them."""
    environment = site / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
    if not environment.is_dir():
        sys.exit(f"{site} has no environment {environment.name}: run `uv sync` there first.")
    return [*uv(), "run", "--quiet", "--no-sync", "--project", str(site), *laid_over("relying-party-tests"), "python"]


def in_fresh_environment(python: str | None, django: str | None, on_services: bool = False) -> list[str]:
    """Return the command that runs a Python with a Django, in an environment that uv keeps in its cache."""
    version = tuple(map(int, python.split("."))) if python else (sys.version_info.major, sys.version_info.minor)
    path = pythons.found().get(version)
    if not path:
        sys.exit(f"There is no Python {python} on this machine.")
    further = ["relying-party-services"] if on_services else []
    packages = laid_over("relying-party", "relying-party-tests", *further)
    packages += ["--with", f"django~={django}.0"] if django else []
    return [*uv(), "run", "--quiet", "--no-project", "--isolated", "--python", path, *packages, "python"]


def matrix() -> Iterator[tuple[list[str], bool]]:
    """Yield the command for each combination of a Python of this machine and a Django that runs on it.

    The first one is for PostgreSQL and Redis: what it does on SQLite, a run without options does too.
    """
    on_services = all(map(services.find, ("postgres", "redis-server")))
    if not on_services:
        message = "NOT TESTED on this machine: PostgreSQL and Redis, whose servers are missing"
        sys.exit(message) if os.environ.get("CI") else print(message, file=sys.stderr)
    for version in pythons.found():
        for django, oldest in DJANGOS.items():
            if version >= oldest:
                yield in_fresh_environment(".".join(map(str, version)), django, on_services), on_services
                on_services = False


def laid_over(*groups: str) -> list[str]:
    """Return uv's arguments for the packages of dependency groups of this repository."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        packages = tomllib.load(file)["dependency-groups"]
    return [word for group in groups for package in packages[group] for word in ("--with", package)]


def uv() -> list[str]:
    """Return the command uv: beside this Python, on the PATH, or as a module."""
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    if path := beside or shutil.which("uv"):
        return [path]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    sys.exit("uv is needed: python -m pip install uv")


def run(command: list[str], site: Path, on_services: bool = False) -> int:
    """Run the tests against the site's `oidc`; return the exit status."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    # The site has a package `tests` too, so the repository comes first, and no folder comes by itself.
    environment |= {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(site)]), "PYTHONSAFEPATH": "1"}
    # Whatever lies in the site's source is rendered. `rules.py` reads what a run of the source itself has covered.
    data = REPOSITORY / (".coverage" if site == SOURCE else ".coverage.site")
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "COVERAGE_FILE": str(data)}
    environment["HYPOTHESIS_STORAGE_DIRECTORY"] = str(REPOSITORY / ".hypothesis")
    with ExitStack() as stack:
        if on_services:
            environment["DATABASE_URL"] = stack.enter_context(services.postgresql())
            environment["CACHE_URL"] = stack.enter_context(services.redis())
        return subprocess.run(command, cwd=TESTS, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
