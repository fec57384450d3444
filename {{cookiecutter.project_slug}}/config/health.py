"""Answers for load balancers and orchestrators. The OP is no part of them: a site whose OP is down still serves."""

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache


@never_cache
def alive(request: HttpRequest) -> HttpResponse:
    """Answer 200 as long as the process serves requests."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the database and the cache answer, else 503 with the names of those that do not."""
    failed = [name for name, probe in (("database", _database), ("cache", _cache)) if not _answers(probe)]
    text = f"not ready: {', '.join(failed)}\n" if failed else "ok\n"
    return HttpResponse(text, content_type="text/plain", status=503 if failed else 200)


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
