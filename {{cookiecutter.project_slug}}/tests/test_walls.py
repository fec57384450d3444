"""Who may import whom: the relying party knows nothing of this site, and settings are read in one place."""

import ast
from pathlib import Path

import pytest
from django.conf import settings

PACKAGES = ["accounts", "config", "dev", "oidc", "pages"]


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, at any depth, `from a import b` as a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported_packages(package: str) -> set[str]:
    files = (settings.BASE_DIR / package).rglob("*.py")
    return {module.partition(".")[0] for path in files for module in imports(path)} & set(PACKAGES) - {package}


@pytest.mark.parametrize(
    ("package", "may_import"),
    [("oidc", set()), ("pages", set()), ("accounts", {"oidc"}), ("dev", set()), ("config", set(PACKAGES))],
)
def test_a_package_imports_only_what_it_may(package: str, may_import: set[str]) -> None:
    assert imported_packages(package) <= may_import


def test_the_relying_party_reads_settings_in_one_place() -> None:
    files = [path for path in (settings.BASE_DIR / "oidc").glob("*.py") if "django.conf.settings" in imports(path)]
    assert [path.name for path in files] == ["conf.py"]
