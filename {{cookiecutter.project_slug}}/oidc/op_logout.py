"""Logout that begins at the OP: over the back channel, or in a frame of the person's browser.

OpenID Connect Back-Channel Logout 1.0 and Front-Channel Logout 1.0.
"""

import hashlib
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from oidc import keys, sessions, tokens
from oidc.conf import conf
from oidc.errors import LoginError, Reason, shorten
from oidc.models import SpentToken
from oidc.signals import logged_out_by_op

logger = logging.getLogger(__name__)

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """Whom a logout token means: all sessions of `subject`, or the one `sid`; `jti` and `expires` make it unique."""

    subject: str
    sid: str
    jti: str
    expires: float


@csrf_exempt
@never_cache
@require_POST
def backchannel_logout(request: HttpRequest) -> HttpResponse:
    """End the sessions that the OP names: 200 when they have ended, 400 for a token that is not obeyed (2.8)."""
    try:
        token = read_logout_token(request.POST.getlist("logout_token"), time.time())
        with transaction.atomic():
            spend(token)
            ended = sessions.end(conf.OIDC_OP_ISSUER, subject=token.subject, sid=token.sid)
    except LoginError as error:
        logger.warning("back-channel logout refused reason=%s detail=%s", error.reason.code, error.detail)
        return JsonResponse({"error": "invalid_request", "error_description": error.reason.code}, status=400)
    _report(ended, token.subject, token.sid)
    return HttpResponse()


def read_logout_token(texts: list[str], now: float) -> LogoutToken:
    """Return what the one logout token of a request says if it keeps every rule of section 2.6; raises `LoginError`."""
    if len(texts) != 1:
        raise LoginError(Reason.LOGOUT_TOKEN_INVALID, f"{len(texts)} logout tokens")
    text = texts[0]
    claims = tokens.read(text, conf.OIDC_RP_SIGN_ALGO, keys.verification_key)
    check_type(tokens.read_header(text))
    tokens.check_issuer(claims, conf.OIDC_OP_ISSUER)
    tokens.check_audience(claims, conf.OIDC_RP_CLIENT_ID, conf.OIDC_TRUSTED_AUDIENCES)
    tokens.check_expiry(claims, now)
    tokens.check_issued_at(claims, now)
    check_event(claims)
    check_person(claims)
    # However late it expires, its age is limited too.
    expires = min(claims["exp"], now + 2 * tokens.OLDEST)
    return LogoutToken(claims.get("sub", ""), claims.get("sid", ""), claims["jti"], expires)


def check_type(header: dict[str, Any]) -> None:
    """`typ`, if there, is that of a logout token (section 2.4); many OPs write JWT."""
    if str(header.get("typ", "JWT")).lower() not in ("logout+jwt", "jwt"):
        raise LoginError(Reason.LOGOUT_TOKEN_INVALID, f"typ is {shorten(header.get('typ'))}")


def check_event(claims: dict[str, Any]) -> None:
    """`events` has the logout event, and there is no `nonce`, so that no ID Token passes (rules 5 and 6)."""
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise LoginError(Reason.LOGOUT_TOKEN_INVALID, "no logout event")
    if "nonce" in claims:
        raise LoginError(Reason.LOGOUT_TOKEN_INVALID, "it has a nonce")


def check_person(claims: dict[str, Any]) -> None:
    """`sub`, `sid` or both say who is meant (rule 4), `jti` makes the token unique."""
    named = [claims[name] for name in ("sub", "sid") if name in claims]
    if not named or not all(map(sessions.is_name, [*named, claims.get("jti")])):
        raise LoginError(Reason.LOGOUT_TOKEN_INVALID, "neither sub nor sid, or no jti")


def spend(token: LogoutToken) -> None:
    """Note that `token` was obeyed; raises `LoginError` if it was before, in any process (rule 7)."""
    digest = hashlib.sha256(f"{conf.OIDC_OP_ISSUER} {token.jti}".encode()).hexdigest()
    expires = datetime.fromtimestamp(token.expires + tokens.LEEWAY, UTC)
    if not SpentToken.objects.get_or_create(digest=digest, defaults={"expires": expires})[1]:
        raise LoginError(Reason.LOGOUT_TOKEN_INVALID, "it was sent before")


@xframe_options_exempt
@never_cache
@require_GET
def frontchannel_logout(request: HttpRequest) -> HttpResponse:
    """End the session that the OP names in a frame; where OIDC_FRONTCHANNEL_LOGOUT is off, raises `Http404`."""
    if not conf.OIDC_FRONTCHANNEL_LOGOUT:
        raise Http404
    issuer, sid = request.GET.get("iss"), request.GET.get("sid")
    # The browser sends no session cookie into a frame of another site, so the session is found by its name.
    # Entra ID leaves out iss, which has to be ours where it stands (section 2).
    if issuer not in (None, conf.OIDC_OP_ISSUER) or not sessions.is_name(sid):
        return HttpResponseBadRequest("sid is needed, and iss must be the issuer", content_type="text/plain")
    _report(sessions.end(conf.OIDC_OP_ISSUER, sid=sid), "", sid)
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(conf.OIDC_OP_ISSUER))
    policy = f"default-src 'none'; frame-ancestors {origin}"
    return HttpResponse("signed out", content_type="text/plain", headers={"Content-Security-Policy": policy})


def _report(ended: int, subject: str, sid: str) -> None:
    logger.info("logout by the OP sessions=%d subject=%s issuer=%s", ended, subject or "-", conf.OIDC_OP_ISSUER)
    logged_out_by_op.send_robust(sender=LogoutToken, subject=subject, sid=sid, sessions=ended)
