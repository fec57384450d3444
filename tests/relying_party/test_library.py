"""What this package uses of mozilla-django-oidc: an upgrade that changes it fails here, and not in a login."""

import inspect
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mozilla_django_oidc
import pytest
from django.urls import get_resolver
from django.views.generic import View
from mozilla_django_oidc import auth, middleware, views

from oidc import backends, logout
from oidc import middleware as own_middleware
from oidc import views as own_views
from oidc.internal.conf import Conf
from oidc.names import OF_LIBRARY, WITHOUT_EFFECT

OVERRIDES = [
    (backends.OIDCAuthenticationBackend, auth.OIDCAuthenticationBackend),
    (own_views.AuthenticateView, views.OIDCAuthenticationRequestView),
    (own_views.CallbackView, views.OIDCAuthenticationCallbackView),
    (logout.LogoutView, views.OIDCLogoutView),
    (own_middleware.SessionRefresh, middleware.SessionRefresh),
]


def test_the_library_is_the_one_that_these_tests_describe() -> None:
    assert version("mozilla-django-oidc").startswith("5.0.")


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (auth.OIDCAuthenticationBackend.authenticate, "self request kwargs"),
        (auth.OIDCAuthenticationBackend.get_token, "self payload"),
        (auth.OIDCAuthenticationBackend.verify_token, "self token kwargs"),
        (auth.OIDCAuthenticationBackend.get_userinfo, "self access_token id_token payload"),
        (auth.OIDCAuthenticationBackend.get_or_create_user, "self access_token id_token payload"),
        (auth.OIDCAuthenticationBackend.verify_claims, "self claims"),
        (auth.OIDCAuthenticationBackend.filter_users_by_claims, "self claims"),
        (auth.OIDCAuthenticationBackend.create_user, "self claims"),
        (auth.OIDCAuthenticationBackend.update_user, "self user claims"),
        (auth.OIDCAuthenticationBackend.get_username, "self claims"),
        (auth.OIDCAuthenticationBackend.store_tokens, "self access_token id_token"),
        (auth.OIDCAuthenticationBackend.get_user, "self user_id"),
        (auth.default_username_algo, "email claims"),
        (views.OIDCAuthenticationRequestView.get, "self request"),
        (views.OIDCAuthenticationRequestView.get_extra_params, "self request"),
        (views.OIDCAuthenticationCallbackView.get, "self request"),
        (views.OIDCAuthenticationCallbackView.login_success, "self"),
        (views.OIDCAuthenticationCallbackView.login_failure, "self"),
        (views.OIDCLogoutView.get, "self request"),
        (views.OIDCLogoutView.post, "self request"),
        (views.OIDCLogoutView.get_settings, "attr args"),
        (middleware.SessionRefresh.process_request, "self request"),
        (middleware.SessionRefresh.is_refreshable_url, "self request"),
        (middleware.SessionRefresh.get_settings, "attr args"),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_a_function_takes_what_it_took(method: Callable[..., Any], parameters: str) -> None:
    assert list(inspect.signature(method).parameters) == parameters.split()


def overridden_methods() -> Iterator[Any]:
    for own, theirs in OVERRIDES:
        for name in sorted(vars(own).keys() & vars(theirs).keys()):
            if inspect.isfunction(vars(own)[name]) and name != "__init__":
                yield pytest.param(vars(own)[name], vars(theirs)[name], id=f"{own.__name__}.{name}")


@pytest.mark.parametrize(("own", "theirs"), list(overridden_methods()))
def test_an_override_can_be_called_as_the_library_documents(own: Callable, theirs: Callable) -> None:
    positional = [
        [p.name for p in inspect.signature(method).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        for method in (own, theirs)
    ]
    assert positional[0] == positional[1]


@pytest.mark.parametrize(("own", "theirs"), OVERRIDES)
def test_a_class_is_still_one_of_the_librarys(own: type, theirs: type) -> None:
    """So what a site tests for with isinstance or issubclass, or extends, stays true."""
    assert issubclass(own, theirs)


@pytest.mark.parametrize("name", ["exempt_urls", "exempt_url_patterns"])
def test_the_middleware_takes_exempt_urls_from_the_library(name: str) -> None:
    assert hasattr(middleware.SessionRefresh, name)
    assert name not in vars(own_middleware.SessionRefresh)


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("oidc_authentication_init", own_views.AuthenticateView),
        ("oidc_authentication_callback", own_views.CallbackView),
        ("oidc_logout", logout.LogoutView),
    ],
)
def test_the_librarys_url_names_lead_to_these_views(name: str, view: type[View]) -> None:
    url = "/" + get_resolver().reverse(name)
    assert get_resolver().resolve(url).func.view_class is view


def test_every_setting_of_the_library_is_read_here_or_known_to_have_no_effect() -> None:
    text = "".join(path.read_text() for path in Path(mozilla_django_oidc.__file__).parent.rglob("*.py"))
    theirs = set(re.findall(r"""(?:get_settings|import_from_settings)\(\s*"([A-Z_]+)""", text))
    assert len(theirs) > 30
    # The library's own logout view reads ALLOW_LOGOUT_GET_METHOD, and ours asks it.
    assert theirs - set(vars(Conf)) - WITHOUT_EFFECT - set(OF_LIBRARY) == {"ALLOW_LOGOUT_GET_METHOD"}


def test_a_setting_without_effect_is_not_read() -> None:
    assert not WITHOUT_EFFECT & set(vars(Conf))


def test_making_a_view_or_a_backend_needs_no_setting() -> None:
    """The library's constructors insist on endpoints, which may come from the OP's metadata here."""
    with pytest.raises(mozilla_django_oidc.utils.ImproperlyConfigured):
        auth.OIDCAuthenticationBackend()
    with pytest.raises(mozilla_django_oidc.utils.ImproperlyConfigured):
        views.OIDCAuthenticationRequestView()
    backends.OIDCAuthenticationBackend()
    own_views.AuthenticateView()
