import secrets
from base64 import urlsafe_b64encode
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import jwt
import requests
from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from plain.urls import urlpatterns as of_plain
from requests.adapters import HTTPAdapter

COOKIE, SECONDS = "attempt", 600


@cache
def client() -> requests.Session:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=64))
    return session


@cache
def signing_key() -> Any:
    keys = client().get(f"{settings.ISSUER}/jwks", timeout=5).json()["keys"]
    return jwt.PyJWK(keys[0], "RS256").key


def begin(request: HttpRequest) -> HttpResponse:
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    parameters = {
        "response_type": "code",
        "scope": "openid email profile",
        "client_id": settings.CLIENT_ID,
        "redirect_uri": request.build_absolute_uri("/oidc/callback/"),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    response = HttpResponseRedirect(f"{settings.ISSUER}/authorize?{urlencode(parameters)}")
    response.set_cookie(COOKIE, signing.dumps([state, nonce, verifier]), max_age=SECONDS, httponly=True, samesite="Lax")
    return response


def complete(request: HttpRequest) -> HttpResponse:
    state, nonce, verifier = signing.loads(request.COOKIES[COOKIE], max_age=SECONDS)
    assert secrets.compare_digest(state, request.GET["state"])
    form = {
        "grant_type": "authorization_code",
        "code": request.GET["code"],
        "redirect_uri": request.build_absolute_uri("/oidc/callback/"),
        "code_verifier": verifier,
    }
    of_client = settings.CLIENT_ID, settings.CLIENT_SECRET
    tokens = client().post(f"{settings.ISSUER}/token", form, auth=of_client, timeout=5).json()
    claims = jwt.decode(
        tokens["id_token"], signing_key(), ["RS256"], audience=settings.CLIENT_ID, issuer=settings.ISSUER
    )
    assert secrets.compare_digest(claims["nonce"], nonce)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    details = client().get(f"{settings.ISSUER}/userinfo", headers=bearer, timeout=5).json()
    assert details["sub"] == claims["sub"]
    with transaction.atomic():
        user, _ = get_user_model().objects.get_or_create(username=claims["sub"], defaults={"email": details["email"]})
        login(request, user)
    response = HttpResponseRedirect(settings.LOGIN_REDIRECT_URL)
    response.delete_cookie(COOKIE)
    return response


urlpatterns = [*of_plain, path("oidc/authenticate/", begin), path("oidc/callback/", complete)]
