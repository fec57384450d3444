"""Step-up: `fresh_login` on views."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from oidc.fresh import fresh_login, is_fresh
from oidc.tests.conftest import Browser
from oidc.tests.op import OP


@fresh_login(max_age=300)
def recent(request: HttpRequest) -> HttpResponse:
    return HttpResponse("shown")


@fresh_login(acr=("gold", "platinum"))
def strong(request: HttpRequest) -> HttpResponse:
    return HttpResponse("shown")


urlpatterns = [path("recent/", recent), path("strong/", strong), path("", include("config.urls"))]


@pytest.fixture
def site(browser: Browser, settings) -> Browser:
    settings.ROOT_URLCONF = __name__
    return browser


@pytest.mark.parametrize(
    ("url", "says", "asks"),
    [
        ("/recent/", lambda: {"auth_time": int(time.time())}, {"max_age": ["300"]}),
        ("/strong/", lambda: {"acr": "gold"}, {"acr_values": ["gold platinum"]}),
    ],
)
def test_a_view_asks_the_op_for_more_and_then_shows_itself(site: Browser, op: OP, url: str, says, asks: dict) -> None:
    site.log_in()
    leaving = site.client.get(url)["Location"]
    assert asks.items() <= parse_qs(urlsplit(leaving).query).items()
    op.claims |= says()
    assert site.come_back(op.grant(leaving))["Location"] == url
    assert site.client.get(url).content == b"shown"


@pytest.mark.parametrize(
    ("url", "says", "reason"),
    [
        ("/recent/", {}, "authentication_too_old"),
        ("/recent/", {"auth_time": 1}, "authentication_too_old"),
        ("/strong/", {"acr": "silver"}, "authentication_too_weak"),
    ],
)
def test_an_op_that_did_not_do_what_was_asked_is_refused(site: Browser, op: OP, url: str, says, reason: str) -> None:
    leaving = site.client.get(url)["Location"]
    op.claims |= says
    site.come_back(op.grant(leaving))
    assert [refusal["reason"].code for refusal in site.refusals] == [reason]


def test_a_login_that_has_become_old_is_asked_for_again(site: Browser, op: OP) -> None:
    op.claims["auth_time"] = int(time.time())
    site.log_in()
    assert site.client.get("/recent/").status_code == 200
    site.age(400)
    assert "max_age=300" in site.client.get("/recent/")["Location"]


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Mode": "cors"}])
def test_forms_and_scripts_get_401(site: Browser, headers: dict) -> None:
    site.log_in()
    assert site.client.post("/recent/", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("session", "fresh"),
    [
        ({"oidc_auth_time": 1000}, True),
        ({"oidc_auth_time": 639}, False),
        ({"oidc_auth_time": "1000"}, False),
        ({}, False),
    ],
)
def test_how_fresh_a_session_is(session: dict, fresh: bool) -> None:
    assert is_fresh(session, 300, (), now=1000) is fresh


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"max_age": 300}, "authentication_too_old"), ({"acr_values": "gold"}, "authentication_too_weak")],
)
def test_what_every_login_asks_for_is_verified_too(site: Browser, settings, parameters: dict, reason: str) -> None:
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = parameters
    assert site.outcome() == reason
