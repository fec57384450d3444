"""A site that a team can own is small. A number here that has to rise needs a reason in CHANGELOG.md."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rendering import SITE, render

DEPLOYMENT = (".dockerignore", ".github/", "Dockerfile", "compose.yaml", "gunicorn.conf.py")
CODE_AND_CONFIGURATION = (".env.example", ".py", ".toml", ".yaml", ".yml", "Dockerfile")
TAG = re.compile(r"\{%|\{\{.*\b(cookiecutter|quoted)\b")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("budget"))


@pytest.fixture(scope="module")
def lines(site: Path, git_repository: Callable[[Path], None]) -> dict[str, int]:
    """The number of lines of each file that git tracks."""
    git_repository(site)
    tracked = subprocess.run(["git", "ls-files"], cwd=site, capture_output=True, text=True, check=True).stdout
    return {name: len((site / name).read_text(encoding="utf-8").splitlines()) for name in tracked.splitlines()}


def calls(file: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def variables_read(file: Path) -> set[str]:
    """Return what a module reads from the environment: the first argument of a call, if it is a name in capitals."""
    words = {call.args[0].value for call in calls(file) if call.args and isinstance(call.args[0], ast.Constant)}
    return {word for word in words if isinstance(word, str) and VARIABLE.fullmatch(word)}


def test_the_site_has_at_most_100_files_and_5500_lines(lines: dict[str, int]) -> None:
    assert len(lines) <= 100
    assert sum(lines.values()) <= 5_500


def test_the_team_owns_at_most_2500_lines(lines: dict[str, int]) -> None:
    own = {name: number for name, number in lines.items() if not name.startswith(("oidc/", *DEPLOYMENT))}
    assert sum(own.values()) <= 2_500, own


def test_the_environment_has_at_most_32_variables(site: Path) -> None:
    example = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (site / ".env.example").read_text(), re.MULTILINE))
    elsewhere = set().union(*(variables_read(site / path) for path in ("gunicorn.conf.py", "config/settings.py")))
    not_ours = {"DJANGO_SETTINGS_MODULE"}
    assert len((example | elsewhere | {"ENV_FILE"}) - not_ours) <= 32


def test_every_variable_of_the_settings_is_explained_and_no_other(site: Path) -> None:
    example = set(re.findall(r"^([A-Z][A-Z0-9_]+)=", (site / ".env.example").read_text(), re.MULTILINE))
    assert variables_read(site / "config" / "settings.py") - {"ENV_FILE"} == example


def test_at_most_60_lines_of_code_and_configuration_have_a_tag() -> None:
    files = [path for path in SITE.rglob("*") if path.name.endswith(CODE_AND_CONFIGURATION)]
    tagged = [line for path in files for line in path.read_text().splitlines() if TAG.search(line)]
    assert len(tagged) <= 60, "\n".join(tagged)


def test_the_relying_party_has_no_tag() -> None:
    for path in (path for path in (SITE / "oidc").rglob("*") if path.is_file()):
        assert b"cookiecutter" not in path.read_bytes(), path


@pytest.mark.parametrize("django", ["5.2", "6.1"])
@pytest.mark.parametrize("engine", ["django", "jinja2"])
def test_at_most_12_packages_run_in_production(tmp_path: Path, django: str, engine: str) -> None:
    project = render(tmp_path, django_version=django, template_engine=engine) / "pyproject.toml"
    assert len(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]) <= 12
