"""The documents tell the truth: what they name in the site exists, and what they link to is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.rendering import REPOSITORY, SITE

DOCS = sorted((REPOSITORY / "docs").glob("*.md"))
LINKING = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *DOCS]
SECURITY = REPOSITORY / "docs" / "security.md"
SESSIONS = REPOSITORY / "docs" / "sessions.md"
POLICY = REPOSITORY / "docs" / "user-policy.md"
POLICY_TESTS = "tests/test_users.py"
# A rule that one of these tests describes stands in these documents.
RULES = {
    "test_tokens.py": [SECURITY],
    "test_conformance.py": [SECURITY],
    "test_attempts.py": [SECURITY],
    "test_renewal.py": [SECURITY, SESSIONS],
    "test_logout.py": [SECURITY, SESSIONS],
    "test_fresh.py": [SECURITY, SESSIONS],
}

CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
# A test, or with an id in brackets one row of its table.
TEST_NAME = re.compile(r"`([\w/.-]+\.py)::(\w+(?:\[[\w.-]+\])?)`")
PLACES = re.compile(r"Enforced: (.+?)\.\s+Tests?:", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def names(file: Path) -> set[str]:
    """Return what a Python file defines in its body, members of classes as Class.member."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def rows(file: Path) -> set[str]:
    """Return the rows of the tables in a test file as test[id], for each `pytest.param(..., id="id")`."""
    tests = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    return {
        f"{test.name}[{ast.literal_eval(keyword.value)}]"
        for test in tests
        for decorator in test.decorator_list
        for node in ast.walk(decorator)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.param"
        for keyword in node.keywords
        if keyword.arg == "id"
    }


def nameable(path: str) -> set[str]:
    """Return what a document may name at a path in the site or, if there is no such file, in this repository."""
    file = next((folder / path for folder in (SITE, REPOSITORY) if (folder / path).is_file()), None)
    return names(file) | rows(file) if file else set()


def prose(document: Path) -> str:
    """Return the text of a document without its code blocks."""
    return CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(document)):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        repeated = (f"{slug}-{number}" for number in range(1, 1000))
        found.add(slug if slug not in found else next(other for other in repeated if other not in found))
    return found


@pytest.mark.parametrize("document", DOCS, ids=lambda document: document.name)
def test_every_test_that_is_named_exists(document: Path) -> None:
    named = set(TEST_NAME.findall(prose(document)))
    assert {f"{path}::{test}" for path, test in named if test not in nameable(path)} == set()


def test_every_place_where_a_rule_is_enforced_exists() -> None:
    """A place is a file of the site, or `module.function` of its package oidc."""
    text = prose(SECURITY)
    rules = PLACES.findall(text)
    assert len(rules) == text.count("Enforced:")
    places = {f"{file.stem}.{name}" for file in (SITE / "oidc").glob("*.py") for name in names(file)}
    named = {place for rule in rules for place in re.findall(r"`([^`]+)`", rule)}
    assert {place for place in named - places if not (SITE / place).is_file()} == set()


@pytest.mark.parametrize("file", RULES)
def test_no_rule_is_forgotten(file: str) -> None:
    path = f"oidc/tests/{file}"
    tests = {name for name in names(SITE / path) if name.startswith("test_")}
    text = "".join(map(prose, RULES[file]))
    named = {test.partition("[")[0] for other, test in TEST_NAME.findall(text) if other == path}
    assert tests
    assert tests - named == set()


def test_every_row_of_the_user_policy_is_a_row_of_its_table_and_stands_there_once() -> None:
    tests = {name for name in names(SITE / POLICY_TESTS) if name.startswith("test_")}
    tables = rows(SITE / POLICY_TESTS)
    plain = tests - {row.partition("[")[0] for row in tables}
    lines = [line for line in prose(POLICY).splitlines() if line.startswith("|")]
    named = [test for path, test in TEST_NAME.findall("\n".join(lines)) if path == POLICY_TESTS]
    assert tables
    assert sorted(named) == sorted(tables | plain)


@pytest.mark.parametrize("document", LINKING, ids=lambda document: document.name)
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
