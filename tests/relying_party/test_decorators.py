"""Decorators of views: a fresh or a stronger login (step-up), and 401 for scripts."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from oidc.decorators import api_login_required, fresh_login
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, OP, dead

SCRIPT = {"Sec-Fetch-Mode": "cors"}
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/page/"}


@pytest.mark.parametrize(
    ("url", "asked", "others"),
    [
        ("/recent/", {"max_age": ["300"]}, ("acr_values", "prompt")),
        ("/strong/", {"acr_values": ["gold platinum"]}, ("max_age", "prompt")),
    ],
)
def test_a_view_asks_the_op_for_more_and_then_shows_itself(
    browser: Browser, op: OP, url: str, asked: dict[str, list[str]], others: tuple[str, ...]
) -> None:
    """Core 3.1.2.1."""
    op.acr_values = ["gold"]
    browser.log_in()
    browser.age(400)
    leaving = browser.get(f"{url}?tab=1")["Location"]
    query = parse_qs(urlsplit(leaving).query)
    assert asked.items() <= query.items()
    assert not query.keys() & set(others)
    assert browser.come_back(op.grant(leaving))["Location"] == f"{url}?tab=1"
    assert browser.get(url).content == f"user {browser.user.pk}".encode()


@pytest.mark.parametrize("url", ["/recent/", "/strong/"])
def test_somebody_who_is_not_logged_in_logs_in_as_the_view_needs_it(browser: Browser, op: OP, url: str) -> None:
    op.acr_values = ["platinum"]
    assert browser.come_back(op.grant(browser.get(url)["Location"]))["Location"] == url
    assert browser.get(url).status_code == 200


@pytest.mark.parametrize(
    ("url", "said", "reason"),
    [
        ("/recent/", {"auth_time": ABSENT}, "authentication_too_old"),
        ("/recent/", {"auth_time": 1}, "authentication_too_old"),
        ("/recent/", {"auth_time": "now"}, "id_token_time"),
        ("/recent/", {"auth_time": 4e9}, "id_token_time"),
        ("/strong/", {"acr": "silver"}, "authentication_too_weak"),
        ("/strong/", {"acr": ABSENT}, "authentication_too_weak"),
    ],
)
def test_an_op_that_did_not_do_what_was_asked_is_refused(
    browser: Browser, op: OP, url: str, said: dict[str, Any], reason: str
) -> None:
    leaving = browser.get(url)["Location"]
    op.claims |= said
    browser.come_back(op.grant(leaving))
    assert [refusal["reason"].code for refusal in browser.refusals] == [reason]
    assert not browser.is_signed_in


def test_a_login_that_has_become_old_is_asked_for_again(browser: Browser) -> None:
    browser.log_in()
    assert browser.get("/recent/").status_code == 200
    browser.age(400)
    assert "max_age=300" in browser.get("/recent/")["Location"]


def test_a_renewal_does_not_make_a_login_fresh(browser: Browser, op: OP) -> None:
    browser.log_in()
    browser.age(1000)
    browser.come_back(op.grant(browser.get("/page/")["Location"]))
    assert browser.get("/page/").status_code == 200
    assert "max_age=300" in browser.get("/recent/")["Location"]


@pytest.mark.parametrize("is_silent", [False, True], ids=["login", "renewal"])
def test_a_strong_login_does_not_lend_its_strength_to_a_later_one(browser: Browser, op: OP, is_silent: bool) -> None:
    op.acr_values = ["gold"]
    browser.come_back(op.grant(browser.get("/strong/")["Location"]))
    assert browser.get("/strong/").status_code == 200
    browser.age(1000)
    op.grant(browser.leave()["Location"])  # a later login at the OP, of which it does not say how strong it was
    leaving = browser.get("/page/") if is_silent else browser.leave()
    browser.come_back(op.grant(leaving["Location"]))
    assert browser.get("/recent/").status_code == 200
    assert "acr_values=gold" in browser.get("/strong/")["Location"]


def test_a_session_that_no_op_began_is_not_fresh(op: OP, client: Client, django_user_model: Any) -> None:
    client.force_login(django_user_model.objects.create_user("kim"))
    for url in ("/recent/", "/strong/"):
        assert client.get(url)["Location"].startswith(f"{op.issuer}/authorize?")


def test_a_login_of_somebody_who_was_deactivated_is_not_fresh(browser: Browser, op: OP) -> None:
    browser.log_in()
    get_user_model().objects.update(is_active=False)
    assert browser.get("/recent/")["Location"].startswith(f"{op.issuer}/authorize?")


def test_a_person_who_turns_back_keeps_the_session(browser: Browser, op: OP) -> None:
    browser.log_in()
    browser.age(400)
    state = op.grant(browser.get("/recent/")["Location"])["state"]
    assert browser.come_back({"error": "access_denied", "state": state, "iss": op.issuer}).status_code == 403
    assert browser.get("/page/").status_code == 200


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        pytest.param("post", {}, 401, id="form"),
        pytest.param("post", SCRIPT, 401, id="script-post"),
        pytest.param("get", SCRIPT, 401, id="script"),
        pytest.param("post", HTMX, 401, id="htmx-post"),
        pytest.param("get", HTMX, 200, id="htmx"),
        pytest.param("head", {}, 302, id="head"),
    ],
)
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_only_pages_go_to_the_op(
    browser: Browser, op: OP, method: str, headers: dict[str, str], status: int, is_signed_in: bool
) -> None:
    if is_signed_in:
        browser.log_in()
        browser.age(400)
    response = getattr(browser.client, method)("/recent/", headers=headers)
    assert response.status_code == status
    assert b"user" not in response.content
    assert not response.get("Location", "").startswith(op.issuer)


def test_an_op_that_is_down_gets_a_page(browser: Browser, op: OP) -> None:
    op.faults["/.well-known/openid-configuration"] = dead
    response = browser.get("/recent/")
    assert response.status_code == 503
    assert 'href="/oidc/authenticate/?next=%2Frecent%2F"' in response.content.decode()


def view(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
    """Show something."""
    return HttpResponse(f"{args} {kwargs}")


@pytest.mark.parametrize("decorate", [api_login_required, fresh_login(max_age=1), fresh_login(acr="gold")])
def test_a_decorated_view_keeps_its_name_and_docstring(decorate: Callable[[Any], Any]) -> None:
    assert (decorate(view).__name__, decorate(view).__doc__) == ("view", "Show something.")


def test_one_acr_may_be_written_as_text(op: OP) -> None:
    request = RequestFactory().get("/")
    request.user, request.session = AnonymousUser(), {}
    assert "acr_values=gold&" in fresh_login(acr="gold")(view)(request)["Location"] + "&"


@pytest.mark.parametrize("method", ["get", "post", "head"])
@pytest.mark.parametrize("headers", [{}, SCRIPT])
def test_a_view_for_scripts_never_redirects(db: None, client: Client, method: str, headers: dict[str, str]) -> None:
    response = getattr(client, method)("/api/", headers=headers)
    assert response.status_code == 401
    assert method == "head" or response.json() == {"login_url": "/oidc/authenticate/"}


def test_a_view_for_scripts_shows_itself_to_somebody_who_is_signed_in(browser: Browser) -> None:
    browser.log_in()
    assert browser.get("/api/", headers=SCRIPT).content == f"user {browser.user.pk}".encode()


def test_a_view_for_scripts_gets_its_arguments(django_user_model: Any) -> None:
    request = RequestFactory().get("/")
    request.user = django_user_model(username="kim")
    assert api_login_required(view)(request, 1, two=2).content == b"(1,) {'two': 2}"


def test_htmx_without_a_login_is_sent_to_it(db: None, client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/page/"}
    assert client.get("/api/", headers=headers)["HX-Redirect"] == "/oidc/authenticate/?next=%2Fpage%2F"
