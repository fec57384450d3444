"""The documents tell the truth: what they name in the site exists, and what they link to is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.rendering import REPOSITORY, SITE

DOCS = sorted((REPOSITORY / "docs").glob("*.md"))
LINKING = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *DOCS]
SECURITY = REPOSITORY / "docs" / "security.md"
# A rule that one of these tests describes stands in docs/security.md.
RULES = ["test_tokens.py", "test_conformance.py", "test_attempts.py"]

CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
TEST_NAME = re.compile(r"`([\w/.-]+\.py)::(\w+)`")
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
    lost = {f"{path}::{test}" for path, test in named if not (SITE / path).is_file() or test not in names(SITE / path)}
    assert lost == set()


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
    named = {test for other, test in TEST_NAME.findall(prose(SECURITY)) if other == path}
    assert tests
    assert tests - named == set()


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
