from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from plain.urls import urlpatterns as of_plain
from social_core.actions import do_auth, do_complete
from social_django.utils import psa
from social_django.views import _do_login

OIDC = {"backend": "oidc"}


# The package's own views without the form that begins a login, and with the redirect URI of all projects.
@psa("/oidc/callback/")
def begin(request: HttpRequest, backend: str) -> HttpResponse:
    return do_auth(request.backend, redirect_name="next", user=request.user)


@psa("/oidc/callback/")
def complete(request: HttpRequest, backend: str) -> HttpResponse:
    return do_complete(request.backend, _do_login, user=request.user, redirect_name="next", request=request)


urlpatterns = [
    *of_plain,
    path("", include("social_django.urls")),
    path("oidc/authenticate/", begin, OIDC),
    path("oidc/callback/", complete, OIDC),
]
