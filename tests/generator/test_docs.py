"""The documents tell the truth: what they name exists, what they link to is there, and numbers agree."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.rendering import REPOSITORY, SITE

DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("[0-9]*.md"))
DOCS = sorted((REPOSITORY / "docs").rglob("*.md"))
LINKING = [*sorted(REPOSITORY.glob("*.md")), *DOCS, *sorted((SITE / "oidc").glob("*.md"))]

CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
# A test by its file, or its path, and its name.
TEST_NAME = re.compile(r"`([\w/.-]+\.py)::(\w+)(?:\[[\w.-]+\])?`")
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def name(document: Path) -> str:
    return document.relative_to(REPOSITORY).as_posix()


def prose(document: Path) -> str:
    """Return the text of a document without its code blocks."""
    return CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))


def functions_in(path: str) -> set[str]:
    """Return the functions of the files that a document may mean with a path, or with the name of a file."""
    folders = (REPOSITORY / "tests", SITE / "tests")
    files = [
        file for folder in folders for file in folder.rglob(Path(path).name) if file.as_posix().endswith(f"/{path}")
    ]
    modules = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return {node.name for module in modules for node in module.body if isinstance(node, ast.FunctionDef)}


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings, and those that it has itself."""
    found: set[str] = set(re.findall(r'<a id="([^"]+)">', prose(document)))
    for heading in HEADING.findall(prose(document)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        repeated = (f"{slug}-{number}" for number in range(1, 1000))
        found.add(slug if slug not in found else next(other for other in repeated if other not in found))
    return found


@pytest.mark.parametrize("document", LINKING, ids=name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(prose(document)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", path):
            continue
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or not target.is_relative_to(REPOSITORY) or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCS, ids=name)
def test_every_test_that_is_named_exists(document: Path) -> None:
    named = set(TEST_NAME.findall(prose(document)))
    assert {f"{path}::{test}" for path, test in named if test not in functions_in(path)} == set()


# The changelog names files that are gone.
@pytest.mark.parametrize("document", [document for document in LINKING if document.name != "CHANGELOG.md"], ids=name)
def test_every_file_of_the_template_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"`((?:tests|docs|hooks|oidc)/[\w/.-]+\.\w+)`", prose(document)))
    assert {path for path in named if not any((folder / path).exists() for folder in (REPOSITORY, SITE))} == set()


@pytest.mark.parametrize("record", DECISIONS, ids=name)
def test_a_decision_is_short_and_complete(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    assert re.findall(r"^## (.+)", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    number = int(record.name.split("-")[0])
    title = re.match(rf"# {number}\. (.+)", text)[1]
    assert f"{number}. [{title}]({record.name})" in (record.parent / "README.md").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert f'__version__ = "{version}"' in (SITE / "oidc" / "__init__.py").read_text(encoding="utf-8")
    assert (
        re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1] == version
    )


def test_the_readme_explains_every_question_and_every_choice() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    questions = json.loads((REPOSITORY / "cookiecutter.json").read_text(encoding="utf-8"))
    named = [question for question in questions if not question.startswith("_") and "endpoint" not in question]
    assert [question for question in named if f"`{question}`" not in readme] == []
    assert [provider for provider in questions["oidc_provider"] if f"`{provider}`" not in readme] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(document: str) -> None:
    targets = set(re.findall(r"^([a-z -]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    targets = {target for line in targets for target in line.split()}
    named = re.findall(r"\bmake ([a-z-]+)", (REPOSITORY / document).read_text(encoding="utf-8"))
    assert set(named) - {"and", "git"} <= targets
