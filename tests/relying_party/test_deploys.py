"""What another release of the site, or one with another SECRET_KEY, has begun goes on here.

What follows was recorded by release 0.2.0. A change that breaks one of these tests breaks rolling deploys, in which
both releases serve the same browsers: read the old format beside the new one for a release, and record the new one.
"""

import hashlib
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core import signing
from django.core.cache import cache
from django.utils import timezone

from oidc.internal import authorization, session
from oidc.internal.authorization import Attempt
from oidc.models import LoginSession
from oidc.testing.browser import Browser
from oidc.testing.op import OP

RECORDED_AT = 1_800_000_000
ATTEMPT = {
    "next": "/page/?a=1",
    "silent": False,
    "max_age": None,
    "acr_values": (),
    "state": "recorded-state",
    "nonce": "recorded-nonce",
    "code_verifier": "recorded-verifier-" + "v" * 40,
    "begun": RECORDED_AT,
}
ATTEMPT_COOKIE = (
    "oidc_attempt_2a243e2ac768b526",
    "eyJuZXh0IjoiL3BhZ2UvP2E9MSIsInNpbGVudCI6ZmFsc2UsIm1heF9hZ2UiOm51bGwsImFjcl92YWx1ZXMiOltdLCJzdGF0ZSI6InJlY29yZGVkLX"
    "N0YXRlIiwibm9uY2UiOiJyZWNvcmRlZC1ub25jZSIsImNvZGVfdmVyaWZpZXIiOiJyZWNvcmRlZC12ZXJpZmllci12dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2"
    "dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2dnZ2IiwiYmVndW4iOjE4MDAwMDAwMDB9:1xocE4:jKT95hRN_fuM0ksUY6ik29bY6Xfh5Uat6z2pAT8PEL8",
)
SESSION_KEY = "dolujzy8r7dluqdgcsynek8l6bo2c2hg"
SESSION_DATA = (
    ".eJxdjtFOwzAMRf8lz1B1zUKaPe5HIjtx24iSTIkrMSH-HcO6CfCT7Xt8fT-Uh40XvzWqPkV1UlY9_d4hhFfK3wJT49ZVWq8pz_4Cla9d4w27HWnde"
    "Wf_GCzQFrlG6ietLUxgDB4j9i_O2iOBDIO2Udpp1GgsYHDG4gEn44aRDMGATutRTEuKwa9lTtkDq9Nh7PfapRQ9Fwng6f2SKnAq-UG5B_WTjNMbiWbd"
    "rcxdC1WizmWN93e55CCkyurfE9ml-HxrP78AaiZqPA:1xocE4:Ylg3xRa-dS-bIW8zJ1JrRVXRSlXxX_qGxIbVLPe7bS4"
)
SESSION_KEYS = {
    "oidc_login_at",
    "oidc_id_token_expiration",
    "oidc_auth_time",
    "oidc_acr",
    "oidc_nonce",
    "oidc_id_token",
}
REFRESH_TOKEN = "gAAAAABrSdIAX_6n94JwA7ibMbllpDSaas1QRrD3zpVni9uj_ASXUZ-ECB1WOV_dbb1R6LPZi3AJERpNMbGSXOl9XfjXKvzn9w=="
ISSUER = "https://op.example.org"


@pytest.fixture(autouse=True, params=["django.contrib.sessions.backends.db", "oidc.cached_db"])
def engine(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.SESSION_ENGINE = request.param
    cache.clear()


@pytest.fixture
def soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute after the recording, for the site and for the OP."""
    now, offset = time.time, RECORDED_AT + 30 - time.time()
    monkeypatch.setattr(time, "time", lambda: now() + offset)


@pytest.fixture
def recorded_session(db: None) -> str:
    """The key of the recorded session, with all that belongs to it."""
    get_user_model().objects.create(pk=7, username="kim", password="!recorded")
    expires = timezone.now() + timedelta(days=1)
    Session.objects.create(session_key=SESSION_KEY, session_data=SESSION_DATA, expire_date=expires)
    names = {"issuer": ISSUER, "subject": "person-1", "sid": "sid-1"}
    LoginSession.objects.create(session_key=SESSION_KEY, **names, refresh_token=REFRESH_TOKEN)
    return SESSION_KEY


# Two releases at once


def test_an_attempt_that_the_former_release_began_ends_here(browser: Browser, op: OP, soon_after: None) -> None:
    browser.client.cookies[ATTEMPT_COOKIE[0]] = ATTEMPT_COOKIE[1]
    callback = op.grant(authorization.request_url(Attempt(**ATTEMPT), {}))
    assert browser.come_back(callback)["Location"] == ATTEMPT["next"]
    assert browser.is_signed_in


def test_an_attempt_that_begins_here_has_what_the_former_release_reads(browser: Browser) -> None:
    """That one knows these fields and no others, so let a release read a new field before one writes it."""
    browser.leave("/page/")
    (cookie,) = (kept.value for name, kept in browser.client.cookies.items() if name.startswith("oidc_attempt_"))
    assert signing.loads(cookie, salt="oidc.attempts").keys() == ATTEMPT.keys() == asdict(Attempt()).keys()


def test_an_attempt_of_the_next_release_ends_here_too(browser: Browser, op: OP, soon_after: None) -> None:
    kept = signing.dumps(ATTEMPT | {"field_of_the_next_release": 1}, salt="oidc.attempts")
    browser.client.cookies[ATTEMPT_COOKIE[0]] = kept
    browser.come_back(op.grant(authorization.request_url(Attempt(**ATTEMPT), {})))
    assert browser.is_signed_in


def test_a_session_that_the_former_release_began_goes_on(client, recorded_session: str, soon_after: None) -> None:
    client.cookies["sessionid"] = recorded_session
    assert client.get("/page/", SERVER_NAME="localhost").status_code == 200
    assert client.session.session_key == recorded_session
    assert set(client.session.keys()) > SESSION_KEYS
    assert session.claim_refresh_token(client.session) == ("person-1", "refresh-token")


def test_a_session_that_the_former_release_began_can_be_ended_here(client, recorded_session: str, soon_after) -> None:
    client.cookies["sessionid"] = recorded_session
    assert session.end(ISSUER, sid="sid-1") == 1
    assert client.get("/page/", SERVER_NAME="localhost").status_code == 302


def test_keys_that_the_former_release_has_cached_are_used_here(browser: Browser, op: OP) -> None:
    jwks_url = f"{op.issuer}/jwks"
    key_set = browser.ask_op("get", jwks_url).json()["keys"]
    cache.set(f"oidc:jwks:{hashlib.sha256(jwks_url.encode()).hexdigest()}", (time.time(), key_set), 60)
    browser.log_in()
    assert browser.is_signed_in
    assert len(op.asked("/jwks")) == 1, "the one of this test"


# A new SECRET_KEY


@pytest.fixture
def new_key(settings: Any) -> Any:
    """A function that changes SECRET_KEY, with the former one as its fallback or without."""
    former = settings.SECRET_KEY

    def change(keep: bool = True) -> None:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key-of-the-stub-site", [former] if keep else []

    return change


def test_an_attempt_survives_a_new_secret_key(browser: Browser, op: OP, new_key) -> None:
    callback = op.grant(browser.leave("/page/")["Location"])
    new_key()
    assert browser.come_back(callback)["Location"] == "/page/"


def test_a_session_survives_a_new_secret_key_and_does_not_need_the_former_one_any_more(
    browser, op: OP, new_key
) -> None:
    op.claims["sid"] = "sid-1"
    browser.log_in()
    new_key()
    assert browser.get("/page/").status_code == 200
    new_key(keep=False)
    assert browser.get("/page/").status_code == 200
    assert session.end(op.issuer, sid="sid-1") == 1
    assert browser.get("/page/").status_code == 302


def test_a_refresh_token_survives_a_new_secret_key(browser: Browser, op: OP, settings: Any, new_key) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    browser.log_in()
    browser.age(901)
    new_key()
    assert browser.get("/page/").status_code == 200
    assert op.asked("/token")[-1].form["grant_type"] == "refresh_token"


def test_without_the_former_secret_key_everybody_logs_in_again(browser: Browser, op: OP, new_key) -> None:
    """Copies in the cache are not signed: the hash of the user in them is what refuses them."""
    browser.log_in()
    assert browser.get("/page/").status_code == 200
    new_key(keep=False)
    assert browser.get("/page/").status_code == 302
