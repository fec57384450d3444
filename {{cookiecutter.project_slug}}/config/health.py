"""Answers for load balancers and orchestrators. The OP is no part of them: a site whose OP is down still serves."""

from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse


class HealthChecks:
    """Answers before anything else looks at the request: probes come over http and name no host of the site."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        checks = {"/healthz": alive, "/readyz": ready}
        return checks.get(request.path, self.get_response)(request)


def alive(request: HttpRequest) -> HttpResponse:
    """Answer 200 as long as the process serves requests."""
    return HttpResponse("ok\n", content_type="text/plain", headers={"Cache-Control": "no-store"})


def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the database and the cache answer, else 503 with the names of those that do not."""
    failed = [name for name, probe in (("database", _database), ("cache", _cache)) if not _answers(probe)]
    text = f"not ready: {', '.join(failed)}\n" if failed else "ok\n"
    status = 503 if failed else 200
    return HttpResponse(text, content_type="text/plain", status=status, headers={"Cache-Control": "no-store"})


def _answers(probe) -> bool:
    try:
        probe()
    except Exception:  # noqa: BLE001 - each backend has exceptions of its own, and any of them means no
        return False
    return True


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _cache() -> None:
    cache.get("readyz")
