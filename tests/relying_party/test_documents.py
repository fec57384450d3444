"""The OP's documents in the cache that all processes of the site share."""

from collections.abc import Callable
from typing import Any

import pytest

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import documents, shared_cache
from oidc.testing.fixtures import forget

URL = "https://op.example.org/document"


class Source:
    """Where a document comes from: each time another one, or a failure."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails_with: LoginError | None = None

    def __call__(self, url: str) -> str:
        self.asked.append(url)
        if self.fails_with:
            raise self.fails_with
        return f"edition {len(self.asked)}"


@pytest.fixture
def source(settings) -> Source:
    # A cache server has a clock of its own, which no test moves.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": __name__}}
    forget()
    return Source()


def read(source: Source, url: str = URL) -> Any:
    return documents.document("kind", url, source)


def refetch(source: Source) -> Any:
    return documents.refetched("kind", URL, source)


def test_a_fresh_document_is_not_fetched_again(source: Source) -> None:
    assert [read(source), read(source)] == ["edition 1", "edition 1"]
    assert source.asked == [URL]


def test_a_process_asks_the_cache_once_in_a_while(
    source: Source, monkeypatch: pytest.MonkeyPatch, later: Callable[..., None]
) -> None:
    asked: list[str] = []

    def cached(operation: str, *arguments: Any) -> Any:
        asked.append(operation)
        return shared_cache.cached(operation, *arguments)

    monkeypatch.setattr(documents, "cached", cached)
    assert [read(source), read(source)] == ["edition 1", "edition 1"]
    assert asked == ["get", "set"]
    later(seconds=documents.MEMORY_SECONDS)
    assert [read(source), read(source)] == ["edition 1", "edition 1"]
    assert asked == ["get", "set", "get"]


def test_a_process_sees_what_others_have_fetched_after_a_while(source: Source, later: Callable[..., None]) -> None:
    read(source)
    refetched_by_others(source)
    assert read(source) == "edition 1"
    later(seconds=documents.MEMORY_SECONDS)
    assert read(source) == "edition 2"


def test_a_process_remembers_nothing_from_a_time_to_come(source: Source, later: Callable[..., None]) -> None:
    """As when its clock has been set back: it would remember, and take for fresh, for as long."""
    later(hours=24)
    read(source)
    later(hours=-24)
    assert [read(source), read(source)] == ["edition 2", "edition 2"]


def test_a_process_sees_what_it_has_fetched_again(source: Source) -> None:
    read(source)
    assert [refetch(source), read(source)] == ["edition 2", "edition 2"]


def test_what_others_have_fetched_meanwhile_is_not_fetched_again(source: Source) -> None:
    """Else, when keys change, as many processes as a site has would ask the OP, and most may not."""
    read(source)
    refetched_by_others(source)
    assert [refetch(source), refetch(source)] == ["edition 2", "edition 3"]


def refetched_by_others(source: Source) -> None:
    """Fetch the document as another process does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "remembered", {})
        refetch(source)


def test_documents_of_different_urls_do_not_mix(source: Source) -> None:
    assert [read(source, "https://a.example/"), read(source, "https://b.example/")] == ["edition 1", "edition 2"]


def test_documents_of_different_kinds_do_not_mix(source: Source) -> None:
    assert documents.document("other", URL, source) != read(source)


def test_a_document_that_is_not_fresh_any_more_is_fetched_again(source: Source, later: Callable[..., None]) -> None:
    read(source)
    later(seconds=documents.FRESH_SECONDS)
    assert read(source) == "edition 2"


def test_while_one_process_fetches_the_others_use_the_old_copy(source: Source, later: Callable[..., None]) -> None:
    """Or every process would ask the OP at the same moment."""
    read(source)
    later(seconds=documents.FRESH_SECONDS)
    found_meanwhile = []
    documents.document("kind", URL, lambda url: found_meanwhile.append(read(source)))
    assert found_meanwhile == ["edition 1"]


def test_an_old_copy_serves_while_the_op_is_down(source: Source, later: Callable[..., None], caplog) -> None:
    read(source)
    later(seconds=documents.FRESH_SECONDS)
    source.fails_with = LoginError(errors.OP_UNREACHABLE, "refused")
    assert [read(source), read(source)] == ["edition 1", "edition 1"]
    assert len(source.asked) == 2
    assert "an old copy of the OP's kind stays in use: op_unreachable: refused" in caplog.text


def test_an_op_that_is_down_is_tried_again_after_half_a_minute(source: Source, later: Callable[..., None]) -> None:
    read(source)
    later(seconds=documents.FRESH_SECONDS)
    source.fails_with = LoginError(errors.OP_UNREACHABLE)
    read(source)
    source.fails_with = None
    later(seconds=29)
    assert read(source) == "edition 1"
    later(seconds=2)
    assert read(source) == "edition 3"


def test_an_old_copy_is_dropped_at_the_end_of_its_lifetime(source: Source, later: Callable[..., None]) -> None:
    read(source)
    later(seconds=documents.KEPT_SECONDS + 1)
    source.fails_with = LoginError(errors.OP_UNREACHABLE)
    with pytest.raises(LoginError, match="op_unreachable"):
        read(source)


def test_a_failure_is_not_kept(source: Source) -> None:
    source.fails_with = LoginError(errors.OP_UNREACHABLE)
    with pytest.raises(LoginError):
        read(source)
    source.fails_with = None
    assert read(source) == "edition 2"


def test_a_document_is_refetched_ten_times_at_once_and_then_each_half_minute(
    source: Source, later: Callable[..., None]
) -> None:
    read(source)
    assert [refetch(source) for _ in range(11)] == [*(f"edition {number}" for number in range(2, 12)), None]
    assert read(source) == "edition 11"
    for edition in (12, 13, 14):
        later(seconds=31)
        assert refetch(source) == f"edition {edition}"


def test_a_refetch_that_fails_uses_nothing_up_for_long(source: Source, later: Callable[..., None]) -> None:
    source.fails_with = LoginError(errors.OP_RESPONSE)
    for _ in range(10):
        with pytest.raises(LoginError):
            refetch(source)
    assert refetch(source) is None
    source.fails_with = None
    later(seconds=6)
    assert refetch(source) == "edition 11"


def test_a_refetch_that_fails_leaves_the_old_copy(source: Source) -> None:
    read(source)
    source.fails_with = LoginError(errors.OP_UNREACHABLE)
    with pytest.raises(LoginError):
        refetch(source)
    assert read(source) == "edition 1"


def test_while_the_cache_is_down_a_process_keeps_documents_itself(broken_cache: None, caplog) -> None:
    """A forged token a second would otherwise be a request to the OP a second, and each login four."""
    shared_cache.own.clear()
    documents.remembered.clear()
    source = Source()
    assert [read(source), read(source)] == ["edition 1", "edition 1"]
    assert [refetch(source) for _ in range(11)][-2:] == ["edition 11", None]
    assert [shared_cache.once("this", 10), shared_cache.once("this", 10)] == [True, False]
    assert "cache failed: ConnectionError" in caplog.text
