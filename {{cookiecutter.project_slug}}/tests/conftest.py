from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from django.core.cache import cache

from dev import provider
from tests.browser import Browser


@pytest.fixture(scope="session")
def development_op() -> Iterator[str]:
    """Run the development OP for the whole test session; the value is its issuer."""
    with provider.run() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def op(development_op: str, settings) -> str:
    """Point the site at the development OP; the value is its issuer."""
    cache.clear()
    settings.OIDC_OP_ISSUER = development_op
    return development_op


@pytest.fixture
def person(op: str) -> Callable[..., str]:
    """Return a function that gives the OP a person with `claims` and returns the person's subject."""

    def make(claims: dict[str, Any], sub: str = "person") -> str:
        requests.put(f"{op}/users/{sub}", json=claims, timeout=5).raise_for_status()
        return sub

    return make


@pytest.fixture
def browser(op: str, db: None) -> Browser:
    return Browser()
