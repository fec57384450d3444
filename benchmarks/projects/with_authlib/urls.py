from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from plain.urls import urlpatterns as of_plain

oauth = OAuth()
oauth.register(
    name="op",
    server_metadata_url=settings.SERVER_METADATA_URL,
    client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256"},
)


def begin(request: HttpRequest) -> HttpResponse:
    return oauth.op.authorize_redirect(request, request.build_absolute_uri("/oidc/callback/"))


def complete(request: HttpRequest) -> HttpResponse:
    token = oauth.op.authorize_access_token(request)
    claims = {**token["userinfo"], **oauth.op.userinfo(token=token)}
    user, _ = get_user_model().objects.update_or_create(username=claims["sub"], defaults={"email": claims["email"]})
    login(request, user)
    return redirect(settings.LOGIN_REDIRECT_URL)


urlpatterns = [*of_plain, path("oidc/authenticate/", begin), path("oidc/callback/", complete)]
