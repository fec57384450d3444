"""A statement that fails, as when a database restarts in the middle, leaves no session that the OP cannot end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client

from oidc.testing.browser import Browser
from oidc.testing.op import OP


@contextmanager
def failing(start: str, *, for_good: bool = False) -> Iterator[None]:
    """Let the first statement that starts like this fail, and with `for_good` all after it."""
    failed: list[str] = []

    def run(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if (failed and for_good) or (not failed and sql.startswith(start)):
            failed.append(sql)
            raise OperationalError("the server closed the connection")
        return execute(sql, *arguments)

    with connection.execute_wrapper(run):
        yield
    assert failed


@pytest.fixture
def browser(transactional_db: None, op: OP) -> Browser:
    browser = Browser(op, client=Client(SERVER_NAME="localhost", raise_request_exception=False))
    browser.log_in()
    return browser


def send(token: str) -> HttpResponse:
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)
    return client.post("/oidc/backchannel-logout/", {"logout_token": token})


def log_out(browser: Browser) -> None:
    with failing('DELETE FROM "django_session"'):
        assert browser.post("/oidc/logout/").status_code == 500


def log_in_again(browser: Browser) -> None:
    parameters = browser.op.grant(browser.leave().headers["Location"])
    with failing('INSERT INTO "oidc_loginsession"'):
        assert browser.come_back(parameters).status_code == 500


@pytest.mark.parametrize("leave", [log_out, log_in_again])
def test_the_op_can_still_end_a_session_that_goes_on(
    browser: Browser, op: OP, leave: Callable[[Browser], None]
) -> None:
    leave(browser)
    assert send(op.logout_token()).status_code == 200
    assert not browser.is_signed_in


def test_a_session_of_which_nothing_is_known_does_not_ask_the_op_with_each_page(browser: Browser, op: OP) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM oidc_loginsession")
    browser.age(901)
    op.error = "temporarily_unavailable"
    assert browser.follow(browser.get("/page/")).status_code >= 400
    assert not browser.is_signed_in


def test_a_logout_token_that_was_noted_and_not_obeyed_is_obeyed_when_it_comes_again(browser: Browser, op: OP) -> None:
    token = op.logout_token()
    with failing('SELECT "oidc_loginsession"', for_good=True):
        assert send(token).status_code == 500
    assert send(token).status_code == 400
    assert not browser.is_signed_in


def test_it_ends_no_session_that_has_begun_since(browser: Browser, op: OP) -> None:
    token = op.logout_token()
    assert send(token).status_code == 200
    browser.log_in()
    assert send(token).status_code == 400
    assert browser.is_signed_in
