"""A plugin for pytest that says what is tested, with which packages, and what could not be tested."""

import importlib
import os
import platform
from importlib.metadata import Distribution, PackageNotFoundError

from tests.untested import pytest_terminal_summary

__all__ = ["pytest_report_header", "pytest_terminal_summary"]

PACKAGES = ["Django", "mozilla-django-oidc", "PyJWT", "cryptography", "requests", "urllib3"]


def pytest_report_header() -> list[str]:
    """Return the version and the place of the relying party and of each package that it stands on."""
    oidc = importlib.import_module("oidc")
    lines = [f"relying party: oidc {oidc.__version__} from {oidc.__path__[0]}", f"Python {platform.python_version()}"]
    lines += [f"{name}: {os.environ.get(name) or 'memory'}" for name in ("DATABASE_URL", "CACHE_URL")]
    return lines + [_described(name) for name in PACKAGES]


def _described(name: str) -> str:
    try:
        distribution = Distribution.from_name(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    return f"{name} {distribution.version} from {distribution.locate_file('')}"
