"""What the issuer says about itself while questions are asked (OpenID Connect Discovery 1.0)."""

import http.client
import json
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from cookiecutter_django_oidc_v2 import presets
from cookiecutter_django_oidc_v2.urls import web_url_problem

SECONDS = 3
MAX_BYTES = 256 * 1024
WELL_KNOWN = "/.well-known/openid-configuration"

_asked: dict[str, dict[str, Any]] = {}


def discovered(answers: Mapping[str, Any], name: str) -> str:
    """Return the metadata value `name` of the issuer that was answered, "" if it cannot be had.

    Empty is a good answer too: the site then looks the endpoint up when it needs it.
    """
    return endpoint(metadata(str(answers["oidc_op_issuer"])), name)


def endpoint(metadata: Mapping[str, Any], name: str) -> str:
    """Return the URL `name` in metadata, "" if there is none that a question would take."""
    value = metadata.get(name)
    return value if isinstance(value, str) and not web_url_problem(value) else ""


def metadata(issuer: str) -> dict[str, Any]:
    """Return the metadata of `issuer`, which is asked once; {} after one line that says why it cannot be had."""
    if issuer not in _asked:
        known = presets.known_metadata(issuer)
        _asked[issuer] = _judged(issuer, *_fetch_in_time(issuer)) if known is None else known
    return _asked[issuer]


def known(issuer: str) -> dict[str, Any]:
    """Return the metadata of `issuer` as far as they are known without a request."""
    return _asked.get(issuer) or presets.known_metadata(issuer) or {}


def understood(answer: str) -> str:
    """Return the issuer that is meant by an address, which may be that of its discovery document.

    The document says whether the issuer ends with a slash.
    """
    issuer = answer.strip()
    if not issuer.endswith(WELL_KNOWN) or web_url_problem(issuer):
        return issuer
    issuer = issuer.removesuffix(WELL_KNOWN)
    found, problem = _fetch_in_time(issuer)
    if found.get("issuer") == f"{issuer}/":
        issuer += "/"
    _asked[issuer] = _judged(issuer, found, problem)
    return issuer


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An issuer that redirects is not the issuer that was named."""

    def redirect_request(self, *args: Any) -> None:
        return None


def _judged(issuer: str, found: dict[str, Any], problem: str) -> dict[str, Any]:
    """Return what was found if it is the document of `issuer` (Discovery 4.3), else {} after one line that says why."""
    if found and found.get("issuer") != presets.issuer_in_metadata(issuer):
        problem = f"it is the document of {ascii(found.get('issuer'))[:200]}"
    if problem:
        click.echo(f"No metadata at {issuer} ({problem}): leave the endpoints empty or type them.", err=True)
    return {} if problem else found


def _fetch_in_time(issuer: str) -> tuple[dict[str, Any], str]:
    """Return the discovery document of `issuer` and what is wrong with it, within `SECONDS` whatever the server does.

    Looking up a name has no time limit, and one for reading begins anew with each byte, so a thread waits for both.
    """
    result: list[tuple[dict[str, Any], str]] = []
    thread = threading.Thread(target=lambda: result.append(_fetch(issuer)), daemon=True)
    # Nothing is shown where nobody looks.
    with Console(stderr=True).status(f"Asking {issuer.rstrip('/')}{WELL_KNOWN} ..."):
        thread.start()
        thread.join(SECONDS)
    return result[0] if result else ({}, f"no response within {SECONDS} seconds")


def _fetch(issuer: str) -> tuple[dict[str, Any], str]:
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        # The thread outlives the wait for it by no more than that.
        with opener.open(issuer.rstrip("/") + WELL_KNOWN, timeout=2 * SECONDS) as response:
            document = json.loads(response.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
        return {}, _cause(error)
    return (document, "") if isinstance(document, dict) else ({}, "it is not a JSON object")


def _cause(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON"
    # What the server wrote may hold more than text.
    return ascii(str(getattr(error, "reason", error)))
