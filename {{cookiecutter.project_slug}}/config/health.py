"""What load balancers and orchestrators ask."""

from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse

from oidc import doctor


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
    """Return 200 if the database works, else 503; tell of a cache or a sign-in service that does not.

    Neither makes the site unready: that would take all replicas away, whose pages work without them.
    """
    is_ready = _works(lambda: connection.cursor().execute("SELECT 1"))
    words = ["ok" if is_ready else "not ready: database"]
    if not _works(lambda: cache.set("readyz", 1, 60)):  # a cache that is full can still be read
        words.append("cache: not working")
    if doctor.silent_endpoints():
        words.append("sign-in service: not responding")
    return _plain("\n".join(words), 200 if is_ready else 503)


def _works(probe: Callable[[], object]) -> bool:
    try:
        probe()
    except Exception:  # noqa: BLE001 - each backend has exceptions of its own, and any of them means no
        return False
    return True


def _plain(text: str, status: int) -> HttpResponse:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(f"{text}\n", content_type="text/plain", status=status, headers=headers)
