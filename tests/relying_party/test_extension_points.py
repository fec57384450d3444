"""What mozilla-django-oidc's installation guide promises, row by row, and the settings that its reference documents.

https://mozilla-django-oidc.readthedocs.io/en/stable/installation.html
https://mozilla-django-oidc.readthedocs.io/en/stable/settings.html
"""

import importlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import mozilla_django_oidc.urls
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.models import Group, User
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template import engines
from django.template.backends.jinja2 import Jinja2
from django.test import Client, override_settings
from django.urls import clear_url_caches, path, reverse
from jinja2 import Environment

import oidc.urls
from oidc.backends import OIDCAuthenticationBackend
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON, dead, private_key
from oidc.views import AuthenticateView, CallbackView
from tests.relying_party.stub import urls as stub_urls

HOUR = 60 * 60


def use_backend(settings: Any, backend: type) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.{backend.__name__}"]


def query_of(response: HttpResponse) -> dict[str, list[str]]:
    """Return the parameters of the authorization request that a response redirects to."""
    return parse_qs(urlsplit(response["Location"]).query)


# Acquire a client id and client secret


def test_the_callback_url_is_the_documented_one(browser: Browser, settings) -> None:
    assert reverse("oidc_authentication_callback") == "/oidc/callback/"
    assert query_of(browser.leave())["redirect_uri"] == [f"{settings.SITE_URL}/oidc/callback/"]


# Choose the appropriate algorithm


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_the_algorithm_is_a_setting(browser: Browser, op: OP, settings, algorithm: str) -> None:
    settings.OIDC_RP_SIGN_ALGO = algorithm
    op.sign_with(algorithm)
    assert browser.outcome() == "signed_in"


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_the_signing_key_takes_precedence_over_the_key_set(browser: Browser, op: OP, settings, encoding) -> None:
    public_key = private_key("RSA", 1).public_key()
    settings.OIDC_RP_IDP_SIGN_KEY = public_key.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    op.faults["/jwks"] = dead
    assert browser.outcome() == "signed_in"


def test_the_key_set_does_not_stand_in_for_a_signing_key_that_does_not_fit(browser: Browser, settings) -> None:
    another = private_key("RSA", 2).public_key()
    settings.OIDC_RP_IDP_SIGN_KEY = another.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert browser.outcome() == "id_token_signature"


# Add settings to settings.py


def test_endpoints_can_be_set_in_place_of_discovery(browser: Browser, op: OP, settings) -> None:
    op.metadata = {"issuer": "the discovery document is of no use here"}
    for name, path_ in (("AUTHORIZATION", "authorize"), ("TOKEN", "token"), ("USER", "userinfo"), ("JWKS", "jwks")):
        setattr(settings, f"OIDC_OP_{name}_ENDPOINT", f"{op.issuer}/{path_}")
    assert browser.outcome() == "signed_in"
    assert not op.asked("/.well-known/openid-configuration")


def test_a_query_that_an_endpoint_has_is_kept(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_OP_AUTHORIZATION_ENDPOINT = f"{op.issuer}/authorize?tenant=1"
    assert query_of(browser.leave())["tenant"] == ["1"]


def test_cookie_based_sessions_are_refused(settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    assert "oidc.E001" in [message.id for message in run_checks()]


@pytest.mark.parametrize("url", ["/page/", "admin:index"])
def test_login_redirect_url_is_where_a_login_goes(browser: Browser, settings, url: str) -> None:
    settings.LOGIN_REDIRECT_URL = url
    assert browser.log_in()["Location"] == {"admin:index": "/admin/"}.get(url, url)


def test_logout_redirect_url_is_where_a_logout_ends(browser: Browser, settings) -> None:
    settings.LOGOUT_REDIRECT_URL = "/page/"
    browser.log_in()
    leaving = browser.post("/oidc/logout/")
    assert query_of(leaving)["post_logout_redirect_uri"] == [f"{settings.SITE_URL}/page/"]


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_logout_redirect_url_can_be_left_unset(browser: Browser, settings, is_signed_in: bool) -> None:
    settings.LOGOUT_REDIRECT_URL = None
    if is_signed_in:
        browser.log_in()
    response = browser.post("/oidc/logout/")
    back = query_of(response)["post_logout_redirect_uri"][0] if is_signed_in else response["Location"]
    assert urlsplit(back).path == "/"


# Add routing to urls.py


def test_every_route_of_the_library_has_its_name_and_its_path_here() -> None:
    here = {pattern.name: str(pattern.pattern) for pattern in oidc.urls.urlpatterns}
    for pattern in mozilla_django_oidc.urls.urlpatterns:
        assert here[pattern.name] == str(pattern.pattern)


# Enable login and logout functionality in templates

DJANGO_SNIPPET = """
{% if user.is_authenticated %}
  <p>Current user: {{ user.email }}</p>
  <form action="{% url 'oidc_logout' %}" method="post">
    {% csrf_token %}
    <input type="submit" value="logout">
  </form>
{% else %}
  <a href="{% url 'oidc_authentication_init' %}">Login</a>
{% endif %}
"""
JINJA2_SNIPPET = """
{% if request.user.is_authenticated %}
  <p>Current user: {{ request.user.email }}</p>
  <form action="{{ url('oidc_logout') }}" method="post">
    {{ csrf_input }}
    <input type="submit" value="logout">
  </form>
{% else %}
  <a href="{{ url('oidc_authentication_init') }}">Login</a>
{% endif %}
"""


def environment(**options: Any) -> Environment:
    """Return what Django's documentation recommends: a Jinja2 environment that knows `url`."""
    environment = Environment(**options)
    environment.globals["url"] = reverse
    return environment


def django_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(DJANGO_SNIPPET).render({}, request))


def jinja2_page(request: HttpRequest) -> HttpResponse:
    options = {"environment": f"{__name__}.environment"}
    engine = Jinja2({"NAME": "jinja2", "DIRS": [], "APP_DIRS": False, "OPTIONS": options})
    return HttpResponse(engine.from_string(JINJA2_SNIPPET).render({}, request))


urlpatterns = [path("django/", django_page), path("jinja2/", jinja2_page), *stub_urls.urlpatterns]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("page", ["/django/", "/jinja2/"])
def test_the_guides_template_logs_in_and_out(op: OP, db: None, page: str) -> None:
    browser = Browser(op, Client(enforce_csrf_checks=True, SERVER_NAME="localhost"))
    (link,) = re.findall(r'<a href="(.+)">Login</a>', browser.get(page).content.decode())
    leaving = browser.get(link)
    browser.come_back(op.grant(leaving["Location"]))
    html = browser.get(page).content.decode()
    assert f"Current user: {PERSON['email']}" in html
    (action,) = re.findall(r'<form action="(.+)" method="post">', html)
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(.+?)"', html)
    assert browser.post(action).status_code == 403
    assert browser.post(action, {"csrfmiddlewaretoken": token}).status_code == 302
    assert "Login" in browser.get(page).content.decode()


# Validate ID tokens by renewing them


def test_a_session_is_renewed_silently_after_the_documented_fifteen_minutes(browser: Browser, op: OP) -> None:
    browser.log_in()
    assert browser.get("/page/").status_code == 200
    browser.age(15 * 60 + 1)
    renewal = browser.get("/page/?tab=2")
    assert query_of(renewal)["prompt"] == ["none"]
    assert browser.get(browser.visit_op(renewal["Location"]))["Location"] == "/page/?tab=2"
    assert browser.get("/page/?tab=2").status_code == 200


def test_the_interval_is_a_setting(browser: Browser, settings) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = HOUR
    browser.log_in()
    browser.age(HOUR - 10)
    assert browser.get("/page/").status_code == 200
    browser.age(20)
    assert browser.get("/page/").status_code == 302


@pytest.mark.parametrize("exempt", ["/page/", "admin:index", re.compile(r"^/pa")])
def test_urls_can_be_exempt_by_path_name_or_pattern(browser: Browser, settings, exempt: Any) -> None:
    settings.OIDC_EXEMPT_URLS = [exempt]
    url = "/admin/" if exempt == "admin:index" else "/page/"
    browser.log_in()
    browser.age(HOUR)
    # The middleware exempts; the page of the admin still asks for staff.
    assert "prompt=none" not in browser.get(url).headers.get("Location", "")
    assert "prompt=none" in browser.get("/")["Location"]


# Connecting OIDC user identities to Django users


class ByProfile(OIDCAuthenticationBackend):
    """Finds users in another table, as the guide does with a profile; here a group of the address's name."""

    def filter_users_by_claims(self, claims: Any) -> Any:
        email = claims.get("email")
        if not email:
            return self.UserModel.objects.none()

        try:
            profile = Group.objects.get(name=email)
            return [profile.user_set.get()]

        except Group.DoesNotExist:
            return self.UserModel.objects.none()


@pytest.fixture
def profile(db: None) -> User:
    """A user whom nothing but the other table connects with the address."""
    user = User.objects.create_user("known")
    user.groups.add(Group.objects.create(name=PERSON["email"]))
    return user


def test_filter_users_by_claims_can_look_in_another_table(log_in, settings, profile: User) -> None:
    use_backend(settings, ByProfile)
    assert log_in().user == profile


@pytest.mark.parametrize("email", ["stranger@example.org", ""])
def test_whom_the_other_table_does_not_know_is_new(log_in, settings, profile: User, email: str) -> None:
    use_backend(settings, ByProfile)
    browser = log_in({"email": email})
    assert browser.is_signed_in
    assert browser.user != profile


# Generating usernames


def generate_username(email: str) -> str:
    return unicodedata.normalize("NFKC", email)[:150]


def generate_username_with_claims(email: str, claims: dict[str, Any]) -> str:
    return f"{claims['sub']} {email}"


@pytest.mark.parametrize("by_path", [True, False])
@pytest.mark.parametrize(
    ("algo", "username"),
    [(generate_username, PERSON["email"]), (generate_username_with_claims, f"{PERSON['sub']} {PERSON['email']}")],
)
def test_username_algo_in_both_forms(log_in, settings, algo: Callable, by_path: bool, username: str) -> None:
    settings.OIDC_USERNAME_ALGO = f"{__name__}.{algo.__name__}" if by_path else algo
    assert log_in().user.username == username


def test_a_username_that_the_algo_gives_twice_gets_a_number(log_in, settings) -> None:
    settings.OIDC_USERNAME_ALGO = f"{__name__}.generate_username"
    log_in()
    assert log_in({"sub": "another"}).user.username == f"{PERSON['email']}-2"


# Changing how Django users are created


class WithNames(OIDCAuthenticationBackend):
    def create_user(self, claims: Any) -> Any:
        user = super().create_user(claims)

        user.first_name = claims.get("given_name", "")
        user.last_name = claims.get("family_name", "")
        user.save()

        return user

    def update_user(self, user: Any, claims: Any) -> Any:
        user.first_name = claims.get("given_name", "")
        user.last_name = claims.get("family_name", "")
        user.save()

        return user


def test_create_user_and_update_user_can_be_overridden(log_in, settings) -> None:
    use_backend(settings, WithNames)
    created = log_in({"given_name": "Kim", "family_name": "Before"}).user
    assert (created.first_name, created.last_name) == ("Kim", "Before")
    updated = log_in({"given_name": "Kim", "family_name": "After"}).user
    assert (updated.pk, updated.last_name) == (created.pk, "After")


class ThroughTheManager(OIDCAuthenticationBackend):
    """Makes users as the library's own method does, without calling it."""

    def create_user(self, claims: Any) -> Any:
        return self.UserModel.objects.create_user(self.get_username(claims), email=claims.get("email"))


def test_create_user_can_be_replaced(log_in, settings) -> None:
    use_backend(settings, ThroughTheManager)
    first = log_in({"preferred_username": "kim"}).user
    assert (first.username, first.email) == ("kim", PERSON["email"])
    assert log_in().user == first


# Preventing mozilla-django-oidc from creating new Django users


def test_create_user_off_lets_in_whom_the_policy_finds_and_nobody_else(log_in, settings, profile: User) -> None:
    settings.OIDC_CREATE_USER = False
    use_backend(settings, ByProfile)
    assert log_in().user == profile
    stranger = log_in({"sub": "stranger", "email": "stranger@example.org"})
    assert stranger.refusals[-1]["reason"].code == "user_unknown"
    assert User.objects.get() == profile


# Advanced user verification based on their claims


class OnlyAdministrators(OIDCAuthenticationBackend):
    def verify_claims(self, claims: Any) -> bool:
        verified = super().verify_claims(claims)
        is_admin = "admin" in claims.get("group", [])
        return bool(verified and is_admin)


def test_verify_claims_stops_the_authentication(log_in, settings) -> None:
    use_backend(settings, OnlyAdministrators)
    assert log_in({"group": ["admin"]}).is_signed_in
    stranger = log_in({"sub": "stranger", "group": ["users"]})
    assert stranger.refusals[-1]["reason"].code == "claims_refused"
    assert User.objects.count() == 1


# Log user out of the OpenID Connect provider


def provider_logout(request: HttpRequest) -> str:
    return f"https://op.example.org/logout?user={request.user.username}&back={request.build_absolute_uri('/bye')}"


def test_the_logout_url_method_is_called_before_the_local_logout(log_in, settings) -> None:
    settings.OIDC_OP_LOGOUT_URL_METHOD = f"{__name__}.provider_logout"
    browser = log_in({"preferred_username": "kim"})
    response = browser.post("/oidc/logout/")
    assert response["Location"] == "https://op.example.org/logout?user=kim&back=http://localhost/bye"
    assert not browser.is_signed_in


def test_without_a_logout_url_method_the_logout_stays_here(browser: Browser, settings) -> None:
    settings.OIDC_OP_LOGOUT_URL_METHOD = ""
    settings.LOGOUT_REDIRECT_URL = "/page/"
    browser.log_in()
    assert browser.post("/oidc/logout/")["Location"] == "/page/"
    assert not browser.is_signed_in


@pytest.mark.parametrize("is_allowed", [False, True])
def test_logout_by_get_has_to_be_allowed(browser: Browser, settings, is_allowed: bool) -> None:
    settings.ALLOW_LOGOUT_GET_METHOD = is_allowed
    browser.log_in()
    assert browser.get("/oidc/logout/").status_code == (302 if is_allowed else 200)
    assert browser.is_signed_in is not is_allowed


# Settings: views of one's own


class Greeting(CallbackView):
    """Overrides the documented hooks, and looks at all that they may use."""

    def login_success(self) -> HttpResponse:
        response = super().login_success()
        self.request.session["greeting"] = f"{self.user.email} {self.login.claims['sub']} {self.attempt.next}"
        return HttpResponseRedirect(f"/welcome/?next={response['Location']}")

    def login_failure(self) -> HttpResponse:
        return HttpResponse(f"{self.error.reason.code} {self.error.op_error}", status=self.error.reason.status)


class ToWelcome(CallbackView):
    success_url = "/welcome/"


class AskingForAPerson(AuthenticateView):
    """Overrides the documented hook."""

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        return {**super().get_extra_params(request), "prompt": "login", "login_hint": request.GET.get("hint", "")}


class Closed(AuthenticateView):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("closed on Sundays") if "sunday" in request.GET else super().get(request)


def read_urls_again() -> None:
    """The views are named by settings that are read when a site starts."""
    importlib.reload(oidc.urls)
    importlib.reload(stub_urls)
    clear_url_caches()


@pytest.fixture
def use_view() -> Iterator[Callable[[type], None]]:
    """Return a function that makes a view of this file one of the site's two."""

    def use(view: type) -> None:
        name = "OIDC_CALLBACK_CLASS" if issubclass(view, CallbackView) else "OIDC_AUTHENTICATE_CLASS"
        with override_settings(**{name: f"{__name__}.{view.__name__}"}):
            read_urls_again()

    yield use
    read_urls_again()


def test_login_success_can_be_overridden(browser: Browser, use_view) -> None:
    use_view(Greeting)
    assert browser.log_in(next_url="/page/")["Location"] == "/welcome/?next=/page/"
    assert browser.is_signed_in
    assert browser.client.session["greeting"] == f"{PERSON['email']} {PERSON['sub']} /page/"


def test_login_failure_can_be_overridden(browser: Browser, use_view) -> None:
    use_view(Greeting)
    callback = browser.visit_op(browser.leave()["Location"], deny=True)
    response = browser.get(callback)
    assert (response.status_code, response.content) == (403, b"access_denied 'access_denied'")
    assert not browser.is_signed_in


def test_login_failure_is_also_asked_where_no_attempt_is_known(browser: Browser, use_view) -> None:
    use_view(Greeting)
    assert browser.come_back({"code": "x", "state": "y"}).content == b"attempt_unknown "


def test_success_url_can_be_overridden(browser: Browser, use_view) -> None:
    use_view(ToWelcome)
    assert browser.log_in(next_url="/page/")["Location"] == "/welcome/"


def test_get_extra_params_can_be_overridden(browser: Browser, use_view, settings) -> None:
    use_view(AskingForAPerson)
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"ui_locales": "de"}
    query = query_of(browser.get("/oidc/authenticate/?hint=kim"))
    assert (query["prompt"], query["login_hint"], query["ui_locales"]) == (["login"], ["kim"], ["de"])
    assert browser.log_in().status_code == 302
    assert browser.is_signed_in


def test_the_authenticate_view_can_be_replaced(browser: Browser, use_view) -> None:
    use_view(Closed)
    assert browser.get("/oidc/authenticate/?sunday").content == b"closed on Sundays"
    assert browser.log_in().status_code == 302


# Settings: the rest


def test_extra_parameters_are_sent(browser: Browser, settings) -> None:
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = {"ui_locales": "de fr", "audience": "https://api.example.org"}
    query = query_of(browser.leave())
    assert (query["ui_locales"], query["audience"]) == (["de fr"], ["https://api.example.org"])


def test_extra_parameters_cannot_replace_those_of_the_protocol(browser: Browser, settings) -> None:
    protocol = ["response_type", "client_id", "redirect_uri", "scope", "state", "nonce"]
    protocol += ["code_challenge", "code_challenge_method"]
    settings.OIDC_AUTH_REQUEST_EXTRA_PARAMS = dict.fromkeys(protocol, "extra")
    query = query_of(browser.leave())
    assert [name for name in protocol if query[name] == ["extra"]] == []


def test_scopes_are_a_setting(browser: Browser, settings) -> None:
    settings.OIDC_RP_SCOPES = "openid groups"
    assert query_of(browser.leave())["scope"] == ["openid groups"]


@pytest.mark.parametrize("is_stored", [True, False])
def test_tokens_are_in_the_session_if_they_are_to_be_stored(browser: Browser, settings, is_stored: bool) -> None:
    settings.OIDC_STORE_ACCESS_TOKEN = settings.OIDC_STORE_ID_TOKEN = is_stored
    browser.log_in()
    tokens = [browser.client.session.get(f"oidc_{kind}_token") for kind in ("access", "id")]
    if is_stored:
        assert ("access_token", tokens[0]) in browser.op.grants
        assert ("id_token", tokens[1]) in browser.op.grants
    else:
        assert tokens == [None, None]


def test_access_tokens_are_not_stored_unless_a_site_says_so(browser: Browser) -> None:
    browser.log_in()
    assert "oidc_access_token" not in browser.client.session


@pytest.mark.parametrize(
    ("allowed", "next_url", "goes_to"),
    [
        pytest.param([], "https://other.example.org/x", "/", id="no-other-host"),
        pytest.param(["other.example.org"], "https://other.example.org/x", "https://other.example.org/x", id="allowed"),
        pytest.param(["other.example.org"], "https://evil.example.org/x", "/", id="another-one"),
        pytest.param(["other.example.org"], "https://other.example.org@evil.example.org/", "/", id="dressed-up"),
        pytest.param([], "http://localhost/page/", "http://localhost/page/", id="the-sites-own"),
    ],
)
def test_redirects_go_to_allowed_hosts_only(browser: Browser, settings, allowed, next_url: str, goes_to: str) -> None:
    settings.OIDC_REDIRECT_ALLOWED_HOSTS = allowed
    assert browser.log_in(next_url=next_url)["Location"] == goes_to


def test_the_redirect_field_has_a_name_of_the_sites_choice(browser: Browser, op: OP, settings) -> None:
    settings.OIDC_REDIRECT_FIELD_NAME = "to"
    leaving = browser.get("/oidc/authenticate/?to=/page/&next=/api/")
    assert browser.come_back(op.grant(leaving["Location"]))["Location"] == "/page/"


class Urls:
    """A site that serves the callback at an address of its own."""

    urlpatterns = [path("back/", CallbackView.as_view(), name="own_callback"), *stub_urls.urlpatterns]


def test_the_callback_url_can_have_a_name_of_the_sites_choice(browser: Browser, settings) -> None:
    settings.ROOT_URLCONF = Urls
    settings.OIDC_AUTHENTICATION_CALLBACK_URL = "own_callback"
    assert query_of(browser.leave())["redirect_uri"] == ["http://localhost/back/"]


def test_a_setting_of_the_library_that_has_no_effect_here_is_named(settings) -> None:
    settings.OIDC_VERIFY_SSL = False
    (warning,) = [message for message in run_checks() if message.id == "oidc.W002"]
    assert "OIDC_VERIFY_SSL" in warning.msg
