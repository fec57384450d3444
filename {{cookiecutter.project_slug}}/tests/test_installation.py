"""Everything that mozilla-django-oidc's installation guide promises, row by row, on this site.

https://mozilla-django-oidc.readthedocs.io/en/stable/installation.html
"""

import logging
import time
from urllib.parse import urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as site
from django.contrib.auth.models import Group
from django.core.checks import run_checks
from django.urls import resolve, reverse

from accounts.backends import OIDCBackend, groups_of
from accounts.models import User
from tests.browser import Browser


def test_callback_url_is_the_documented_one() -> None:
    assert reverse("oidc_authentication_callback") == "/oidc/callback/"


def test_routes_have_the_documented_names() -> None:
    names = [resolve(path).url_name for path in ("/oidc/authenticate/", "/oidc/callback/", "/oidc/logout/")]
    assert names == ["oidc_authentication_init", "oidc_authentication_callback", "oidc_logout"]


def test_library_is_installed_after_auth() -> None:
    apps = site.INSTALLED_APPS
    assert apps.index("mozilla_django_oidc") > apps.index("django.contrib.auth")


def test_backend_is_the_sites_own() -> None:
    assert site.AUTHENTICATION_BACKENDS == ["accounts.backends.OIDCBackend"]


def test_redirects_after_login_and_logout_are_set() -> None:
    assert (site.LOGIN_REDIRECT_URL, site.LOGOUT_REDIRECT_URL) == ("/", "/")


def test_an_endpoint_that_is_set_wins_over_discovery(browser: Browser, settings, op: str) -> None:
    settings.OIDC_OP_AUTHORIZATION_ENDPOINT = f"{op}/elsewhere?tenant=1"
    url = urlsplit(browser.start())
    assert url.path == "/elsewhere"
    assert url.query.startswith("tenant=1&")


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_the_sign_key_verifies_and_wins_over_the_jwks_endpoint(browser: Browser, settings, op: str, encoding) -> None:
    key = jwt.PyJWK(requests.get(f"{op}/jwks", timeout=5).json()["keys"][0]).key
    settings.OIDC_RP_IDP_SIGN_KEY = key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    settings.OIDC_OP_JWKS_ENDPOINT = "http://localhost:1/nothing-answers-here"
    assert browser.log_in("ordinary").status_code == 302


def test_the_key_of_another_op_verifies_nothing(browser: Browser, settings) -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    settings.OIDC_RP_IDP_SIGN_KEY = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert browser.log_in("ordinary").status_code == 403


def test_pages_show_login_link_then_logout_form_with_csrf_token(browser: Browser) -> None:
    assert f'href="{reverse("oidc_authentication_init")}"' in browser.get("/").content.decode()
    browser.log_in("ordinary")
    page = browser.get("/").content.decode()
    assert f'action="{reverse("oidc_logout")}" method="post"' in page
    assert 'name="csrfmiddlewaretoken"' in page


def test_cookie_based_sessions_are_refused(settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert "oidc.E001" in [message.id for message in run_checks()]


def test_the_librarys_logger_is_configured() -> None:
    assert logging.getLogger("mozilla_django_oidc").getEffectiveLevel() == logging.INFO


def expire(browser: Browser) -> None:
    session = browser.client.session
    session["oidc_id_token_expiration"] = 0
    session.save()


def test_a_session_that_is_due_is_renewed_without_a_page(browser: Browser, settings) -> None:
    browser.log_in("ordinary")
    assert browser.client.session["oidc_id_token_expiration"] > time.time() + 800
    expire(browser)
    url = browser.start("/profile/?tab=2")
    assert url.endswith("&prompt=none")
    # The development OP keeps no session of its own, so its yes is had by asking without the prompt.
    callback = browser.answer(url.removesuffix("&prompt=none"), "ordinary")
    assert browser.get(callback)["Location"] == "/profile/?tab=2"
    assert browser.get("/profile/?tab=2").status_code == 200


def test_renewal_can_be_off(browser: Browser, settings) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = 0
    browser.log_in("ordinary")
    browser.client.handler.load_middleware()
    expire(browser)
    assert browser.get("/profile/").status_code == 200


def test_a_script_is_not_redirected_to_the_op(browser: Browser) -> None:
    browser.log_in("ordinary")
    expire(browser)
    response = browser.get("/profile/", headers={"X-Requested-With": "XMLHttpRequest"})
    assert (response.status_code, response.json()["login_url"]) == (401, "/oidc/authenticate/")


def test_login_required_at_the_op_leads_to_an_interactive_login(browser: Browser) -> None:
    browser.log_in("ordinary")
    expire(browser)
    refused = browser.answer(browser.start("/profile/"), "ordinary")
    assert "error=login_required" in refused
    again = browser.get(refused)["Location"]
    assert "prompt=none" not in again
    assert browser.get(browser.answer(again, "ordinary"))["Location"] == "/profile/"


class ByProfile(OIDCBackend):
    """Finds users in another table, here a group of the e-mail address's name, as the guide does with a profile."""

    def filter_users_by_claims(self, claims):
        try:
            return [Group.objects.get(name=claims["email"]).user_set.get()]
        except Group.DoesNotExist:
            return self.UserModel.objects.none()


class WithNames(OIDCBackend):
    def create_user(self, claims):
        user = super().create_user(claims)
        user.first_name = claims.get("given_name", "").upper()
        user.save()
        return user

    def update_user(self, user, claims):
        user.last_name = claims.get("family_name", "").upper()
        user.save()
        return user


class OnlyStaff(OIDCBackend):
    def verify_claims(self, claims):
        return super().verify_claims(claims) and "staff" in groups_of(claims)


@pytest.fixture
def backend(settings):
    def use(cls: type) -> None:
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.{cls.__name__}"]

    return use


def test_filter_users_by_claims_can_look_in_another_table(browser: Browser, backend) -> None:
    backend(ByProfile)
    user = User.objects.create_user("known")
    user.groups.add(Group.objects.create(name="olivia@example.org"))
    browser.log_in("ordinary")
    assert browser.user == user


def test_create_user_and_update_user_can_be_overridden(browser: Browser, backend) -> None:
    backend(WithNames)
    browser.log_in("ordinary")
    assert User.objects.get().first_name == "OLIVIA"
    browser.log_in("ordinary")
    assert User.objects.get().last_name == "ORDINARY"


def test_verify_claims_can_ask_for_a_group(browser: Browser, backend) -> None:
    backend(OnlyStaff)
    assert browser.log_in("ordinary").status_code == 403
    assert browser.log_in("staff").status_code == 302


def one_argument(email):
    return f"one-{email}"


def two_arguments(email, claims):
    return f"two-{claims['sub']}"


@pytest.mark.parametrize(
    ("algo", "username"), [("one_argument", "one-olivia@example.org"), ("two_arguments", "two-ordinary")]
)
def test_username_algo_in_both_forms(browser: Browser, settings, algo: str, username: str) -> None:
    settings.OIDC_USERNAME_ALGO = f"{__name__}.{algo}"
    browser.log_in("ordinary")
    assert User.objects.get().username == username


def test_create_user_off_refuses_strangers_and_says_why(browser: Browser, settings) -> None:
    settings.OIDC_CREATE_USER = False
    response = browser.log_in("ordinary")
    assert response.status_code == 403
    assert "no account here yet" in response.content.decode()
    assert not User.objects.exists()


def provider_logout(request):
    return "https://op.example.org/logout"


def test_logout_url_method_can_be_replaced(browser: Browser, settings) -> None:
    settings.OIDC_OP_LOGOUT_URL_METHOD = f"{__name__}.provider_logout"
    browser.log_in("ordinary")
    assert browser.client.post("/oidc/logout/")["Location"] == "https://op.example.org/logout"
