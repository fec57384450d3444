"""What load balancers and orchestrators ask. The sign-in service is not part of it: a site without it still serves.

Nor is the cache, which is reported: all pages of all replicas would be gone with it, and they work without.
"""

from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse


class HealthChecks:
    """Responds before anything else looks at the request: probes use plain http and do not name the site's host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        checks = {"/healthz": alive, "/readyz": ready}
        return checks.get(request.path, self.get_response)(request)


def alive(request: HttpRequest) -> HttpResponse:
    """Return 200 as long as the process serves requests."""
    return _plain("ok", 200)


def ready(request: HttpRequest) -> HttpResponse:
    """Return 200 if the database works, with a word about a cache that does not, else 503."""
    if not _works(lambda: connection.cursor().execute("SELECT 1")):
        return _plain("not ready: database", 503)
    return _plain("ok" if _works(lambda: cache.get("readyz")) else "ok, without the cache", 200)


def _works(probe: Callable[[], object]) -> bool:
    try:
        probe()
    except Exception:  # noqa: BLE001 - each backend has exceptions of its own, and any of them means no
        return False
    return True


def _plain(text: str, status: int) -> HttpResponse:
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(f"{text}\n", content_type="text/plain", status=status, headers=headers)
