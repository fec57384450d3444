"""Many people at once, and one person many times at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client

from oidc.tests.conftest import Browser
from oidc.tests.op import OP

PEOPLE = 10

pytestmark = pytest.mark.slow


def test_ten_first_logins_of_one_person_make_one_user_and_ten_sessions(shared_database: None, op: OP, settings) -> None:
    settings.OIDC_TIMEOUT = 30
    together = Barrier(PEOPLE)

    def log_in() -> str | None:
        try:
            browser = Browser(op)
            callback = op.grant(browser.leave()["Location"])
            together.wait(30)
            browser.come_back(callback)
            return browser.client.session.session_key if browser.is_signed_in else None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(PEOPLE) as threads:
        sessions = {future.result() for future in [threads.submit(log_in) for _ in range(PEOPLE)]}
    assert get_user_model().objects.count() == 1
    assert len(sessions - {None}) == PEOPLE


def test_requests_of_one_session_at_once_refresh_it_once(shared_database: None, op: OP, settings) -> None:
    settings.OIDC_RENEWAL, settings.OIDC_TIMEOUT = "refresh_token", 30
    browser = Browser(op)
    browser.log_in()
    browser.age(901)
    together = Barrier(PEOPLE)

    def get(client: Client) -> int:
        try:
            together.wait(30)
            return client.get("/profile/").status_code
        finally:
            connections.close_all()

    clients = [Client(SERVER_NAME="localhost") for _ in range(PEOPLE)]
    for client in clients:
        client.cookies = browser.client.cookies
    with ThreadPoolExecutor(PEOPLE) as threads:
        assert set(threads.map(get, clients)) == {200}
    assert len([asked for asked in op.asked("/token") if asked.form["grant_type"] == "refresh_token"]) == 1
