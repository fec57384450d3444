"""Logout at the OP (OpenID Connect RP-Initiated Logout 1.0)."""

import logging
import secrets
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.http import HttpRequest
from django.shortcuts import resolve_url

from oidc import provider
from oidc.conf import conf
from oidc.errors import LoginError

logger = logging.getLogger(__name__)


def end_session_url(request: HttpRequest) -> str:
    """Return where the browser goes after the local logout; OIDC_OP_LOGOUT_URL_METHOD points here.

    That is the OP's end-session endpoint, which ends the session there and sends the browser back. A
    person is logged out here even if the OP is down or has no such endpoint.
    """
    home = resolve_url(conf.LOGOUT_REDIRECT_URL)
    try:
        endpoint = provider.endpoint("end_session_endpoint")
    except LoginError as error:
        logger.warning("logout stays local reason=%s detail=%s", error.reason.code, error.detail)
        return home
    if not endpoint:
        return home
    parameters = {
        "client_id": conf.OIDC_RP_CLIENT_ID,
        "post_logout_redirect_uri": conf.SITE_URL + home if home.startswith("/") else home,
        "state": secrets.token_urlsafe(16),
    }
    if id_token := request.session.get("oidc_id_token"):
        parameters["id_token_hint"] = id_token
    url = urlsplit(endpoint)
    query = dict(parse_qsl(url.query, keep_blank_values=True)) | parameters
    return url._replace(query=urlencode(query)).geturl()
