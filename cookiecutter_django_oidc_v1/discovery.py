"""Suggestions for the endpoint questions, from the issuer's own metadata (OpenID Connect Discovery 1.0)."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from typing import Any

import click

from cookiecutter_django_oidc_v1 import presets
from cookiecutter_django_oidc_v1.urls import web_url_problem

TIMEOUT_SECONDS = 3
MAX_BYTES = 256 * 1024


def discovered(answers: Mapping[str, Any], name: str) -> str:
    """Return the metadata value `name` of the issuer that was answered, "" if it cannot be had.

    Empty is a good answer too: the site then looks the endpoint up when it needs it.
    """
    value = _metadata(str(answers["oidc_op_issuer"])).get(name, "")
    return value if isinstance(value, str) and not web_url_problem(value) else ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An issuer that redirects is not the issuer that was named."""

    def redirect_request(self, *args: Any) -> None:
        return None


@cache
def _metadata(issuer: str) -> dict[str, Any]:
    if issuer == presets.LOCAL_ISSUER:
        return presets.LOCAL_METADATA
    # Suggested issuers are either examples, or so well known that rendering need not wait for them.
    if issuer in presets.USUAL_ISSUERS.values():
        return {}
    try:
        return _fetch(issuer)
    except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
        click.echo(f"No metadata at {issuer} ({_cause(error)}): leave the endpoints empty or type them.", err=True)
        return {}


def _fetch(issuer: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(_NoRedirects)
    with opener.open(issuer.rstrip("/") + "/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS) as answer:
        metadata = json.loads(answer.read(MAX_BYTES))
    if not isinstance(metadata, dict) or metadata.get("issuer") != issuer:
        raise ValueError("it is the document of another issuer")
    return metadata


def _cause(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON"
    # What the server wrote may hold more than text.
    return ascii(str(getattr(error, "reason", error)))
