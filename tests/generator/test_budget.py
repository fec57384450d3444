"""A site that a team can own is small. A number here that has to rise needs a reason in CHANGELOG.md."""

import ast
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rendering import SITE, render

CONTAINERS = (".dockerignore", "Dockerfile", "compose.yaml", "deploy/")
DEPLOYMENT = (*CONTAINERS, ".github/", "gunicorn.conf.py")
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


def variables_read(file: Path) -> set[str]:
    """Return the variables that a module reads: by `env`, by `os.environ`, or by a function of its own."""
    calls = (node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    reading = (call for call in calls if re.match(r"(env|os\.environ)\.|\w+$", ast.unparse(call.func)) and call.args)
    words = {call.args[0].value for call in reading if isinstance(call.args[0], ast.Constant)}
    return {word for word in words if isinstance(word, str) and VARIABLE.fullmatch(word)} - {"DJANGO_SETTINGS_MODULE"}


def variables_explained(site: Path) -> set[str]:
    return set(re.findall(r"^([A-Z][A-Z0-9_]+)=", (site / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))


def longest(lines: dict[str, int]) -> str:
    """Return where lines are, for a message: the folders at the top and the longest files."""
    folders = Counter()
    for name, number in lines.items():
        folders[name.partition("/")[0]] += number
    return "\n".join(f"{number:6} {name}" for name, number in [*folders.most_common(), *Counter(lines).most_common(20)])


def test_the_site_has_at_most_129_files_and_10090_lines(lines: dict[str, int]) -> None:
    assert len(lines) <= 129, "\n".join(lines)
    assert sum(lines.values()) <= 10_090, longest(lines)


def test_containers_and_kubernetes_take_at_most_12_files_and_600_lines(lines: dict[str, int]) -> None:
    files = {name: number for name, number in lines.items() if name.startswith(CONTAINERS)}
    assert len(files) <= 12, "\n".join(files)
    assert sum(files.values()) <= 600, longest(files)


def test_the_team_owns_at_most_2500_lines(lines: dict[str, int]) -> None:
    own = {name: number for name, number in lines.items() if not name.startswith(("oidc/", *DEPLOYMENT))}
    assert sum(own.values()) <= 2_500, longest(own)


def test_the_environment_has_at_most_32_variables(site: Path) -> None:
    read = variables_read(site / "config" / "settings.py") | variables_read(site / "gunicorn.conf.py")
    assert len(read | variables_explained(site)) <= 32


def test_every_variable_of_the_settings_is_explained_and_no_other(site: Path) -> None:
    assert variables_read(site / "config" / "settings.py") - {"ENV_FILE"} == variables_explained(site)


def test_at_most_60_lines_of_code_and_configuration_have_a_tag() -> None:
    files = [path for path in SITE.rglob("*") if path.name.endswith(CODE_AND_CONFIGURATION)]
    tagged = [line for path in files for line in path.read_text().splitlines() if TAG.search(line)]
    assert len(tagged) <= 60, "\n".join(tagged)


def test_the_relying_party_has_no_tag() -> None:
    for path in (path for path in (SITE / "oidc").rglob("*") if path.is_file()):
        assert not re.search(rb"\{[{%][^}]*cookiecutter", path.read_bytes()), path


@pytest.mark.parametrize("django", ["5.2", "6.1"])
@pytest.mark.parametrize("engine", ["django", "jinja2"])
def test_at_most_12_packages_run_in_production(tmp_path: Path, django: str, engine: str) -> None:
    project = render(tmp_path, django_version=django, template_engine=engine) / "pyproject.toml"
    assert len(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]) <= 12
