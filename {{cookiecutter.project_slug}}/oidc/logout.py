"""Logout at the OP that begins here (OpenID Connect RP-Initiated Logout 1.0)."""

import logging
import secrets
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.views.decorators.cache import never_cache

from oidc import provider
from oidc.conf import conf
from oidc.errors import LoginError

logger = logging.getLogger(__name__)


def end_session_url(request: HttpRequest) -> str:
    """Return where the browser goes after the local logout; OIDC_OP_LOGOUT_URL_METHOD points here.

    That is the OP's end-session endpoint, which ends the session there and sends the browser back. A person
    is logged out here even if the OP is down or has no such endpoint, and then reads that it goes on there.
    """
    home = resolve_url(conf.LOGOUT_REDIRECT_URL)
    if "oidc_login_at" not in request.session:
        return home
    try:
        endpoint = provider.endpoint("end_session_endpoint")
    except LoginError as error:
        logger.warning("logout stays local reason=%s detail=%s", error.reason.code, error.detail)
        endpoint = ""
    if not endpoint:
        return reverse("oidc_logged_out")
    back = conf.SITE_URL + home if home.startswith("/") else home
    parameters = logout_parameters(conf.OIDC_LOGOUT_DIALECT, back, request.session.get("oidc_id_token", ""))
    url = urlsplit(endpoint)
    query = dict(parse_qsl(url.query, keep_blank_values=True)) | parameters
    return url._replace(query=urlencode(query)).geturl()


def logout_parameters(dialect: str, back: str, id_token: str) -> dict[str, str]:
    """Return the query of a logout request that comes back to the URL `back`.

    `dialect` is "standard", "cognito" (the /logout of a Cognito domain) or "auth0" (the older /v2/logout).
    """
    client = {"client_id": conf.OIDC_RP_CLIENT_ID}
    if dialect == "cognito":
        return client | {"logout_uri": back}
    if dialect == "auth0":
        return client | {"returnTo": back}
    hint = {"id_token_hint": id_token} if id_token else {}
    return client | hint | {"post_logout_redirect_uri": back, "state": secrets.token_urlsafe(16)}


@never_cache
def logged_out(request: HttpRequest) -> HttpResponse:
    """Say that the session here has ended while the one at the OP may go on."""
    return render(request, "oidc/logged_out.html")
