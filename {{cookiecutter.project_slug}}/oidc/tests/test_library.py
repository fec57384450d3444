"""What this package uses of mozilla-django-oidc: an upgrade that changes it fails here, not in a login."""

import inspect
from importlib.metadata import version

import pytest
from django.urls import get_resolver
from mozilla_django_oidc import auth, middleware, views

from oidc import backends
from oidc import views as own_views
from oidc.middleware import SessionRefresh


def test_the_library_is_the_one_these_tests_describe() -> None:
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
        (middleware.SessionRefresh.process_request, "self request"),
        (middleware.SessionRefresh.is_refreshable_url, "self request"),
        (middleware.SessionRefresh.get_settings, "attr args"),
    ],
)
def test_a_method_takes_what_it_took(method, parameters: str) -> None:
    assert list(inspect.signature(method).parameters) == parameters.split()


@pytest.mark.parametrize(
    ("own", "librarys"),
    [
        (backends.OIDCAuthenticationBackend, auth.OIDCAuthenticationBackend),
        (own_views.AuthenticateView, views.OIDCAuthenticationRequestView),
        (own_views.CallbackView, views.OIDCAuthenticationCallbackView),
        (SessionRefresh, middleware.SessionRefresh),
    ],
)
def test_an_override_can_be_called_as_the_library_documents(own: type, librarys: type) -> None:
    assert issubclass(own, librarys)
    for name in vars(own).keys() & vars(librarys).keys() - {"__doc__", "__module__", "__init__"}:
        if inspect.isfunction(vars(own)[name]):
            assert [*inspect.signature(vars(own)[name]).parameters][1:2] == [
                *inspect.signature(vars(librarys)[name]).parameters
            ][1:2]


def test_the_librarys_urls_lead_to_these_views() -> None:
    views_by_name = get_resolver().reverse_dict
    assert {"oidc_authentication_init", "oidc_authentication_callback", "oidc_logout"} <= set(views_by_name)
