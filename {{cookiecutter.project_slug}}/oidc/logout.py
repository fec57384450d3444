"""Logout: it begins here, or at the OP, which ends sessions over the back channel or in a frame of the browser.

OpenID Connect RP-Initiated Logout 1.0, Back-Channel Logout 1.0 and Front-Channel Logout 1.0.
"""

import hashlib
import logging
import secrets
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from mozilla_django_oidc.views import OIDCLogoutView

from oidc.errors import LoginError, shorten
from oidc.internal import discovery, redirects, session, tenants, token_rules, verification
from oidc.internal.conf import conf
from oidc.internal.token_rules import Claims, Rule, TokenError
from oidc.models import LoginSession, SpentToken
from oidc.signals import logged_out_by_op

logger = logging.getLogger(__name__)

EVENT = "http://schemas.openid.net/event/backchannel-logout"
# Servers refuse a request line beyond 8 kB.
MAX_URL_CHARACTERS = 8000
# How dialects other than "standard" call the URL to come back to.
RETURN_PARAMETER = {"cognito": "logout_uri", "auth0": "returnTo"}


@method_decorator(never_cache, name="dispatch")
class LogoutView(OIDCLogoutView):  # type: ignore[misc]  # the library has no types
    """Logs out here by POST and goes on to the OP. The library sends to 405 for GET; here GET offers the button."""

    @staticmethod
    def get_settings(name: str, *default: Any) -> Any:
        """Return a setting with this package's default, so that OIDC_OP_LOGOUT_URL_METHOD need not be set."""
        return getattr(conf, name) if hasattr(conf, name) else OIDCLogoutView.get_settings(name, *default)

    @property
    def redirect_url(self) -> str:
        return home_url()

    def get(self, request: HttpRequest) -> HttpResponse:
        """Offer the button, unless ALLOW_LOGOUT_GET_METHOD is on: a link elsewhere must not log anybody out."""
        is_allowed = self.get_settings("ALLOW_LOGOUT_GET_METHOD", False)
        return self.post(request) if is_allowed else render(request, "oidc/log_out.html")


def home_url() -> str:
    """Return where a logout ends; Django's LOGOUT_REDIRECT_URL may be None."""
    return resolve_url(conf.LOGOUT_REDIRECT_URL or "/")


def return_url() -> str:
    """Return the post-logout redirect URI: where the OP sends the browser after a logout."""
    home = home_url()
    return conf.SITE_URL + home if home.startswith("/") else home


def end_session_url(request: HttpRequest) -> str:
    """Return where the browser goes after the local logout; OIDC_OP_LOGOUT_URL_METHOD points here.

    That is the OP's end-session endpoint, which ends the session there and sends the browser back. A person
    is logged out here even if the OP is down, has no such endpoint or would not take a URL with so large an ID Token,
    and then reads that it goes on there.
    """
    if not session.began_at_op(request.session):
        return home_url()
    url = _url_at_op(session.id_token(request.session))
    if len(url) > MAX_URL_CHARACTERS:
        logger.warning("logout stays local: the ID Token makes a URL of %d characters", len(url))
        url = ""
    return url or reverse("oidc_logged_out")


def _url_at_op(id_token: str = "") -> str:
    """Return where the session at the OP ends, "" if it cannot be asked or has no such endpoint."""
    try:
        endpoint = discovery.endpoint("end_session_endpoint")
    except LoginError as error:
        logger.warning("logout stays local reason=%s detail=%s", error.reason.code, error.detail)
        return ""
    parameters = logout_parameters(conf.OIDC_LOGOUT_DIALECT, return_url(), id_token)
    return redirects.with_query(endpoint, parameters) if endpoint else ""


def logout_parameters(dialect: str, back: str, id_token: str) -> dict[str, str]:
    """Return the query of a logout request that comes back to the URL `back`.

    `dialect` is "standard", "cognito" (the /logout of a Cognito domain) or "auth0" (the older /v2/logout).
    """
    client = {"client_id": conf.OIDC_RP_CLIENT_ID}
    if dialect in RETURN_PARAMETER:
        return client | {RETURN_PARAMETER[dialect]: back}
    hint = {"id_token_hint": id_token} if id_token else {}
    return client | hint | {"post_logout_redirect_uri": back, "state": secrets.token_urlsafe(16)}


@never_cache
def logged_out(request: HttpRequest) -> HttpResponse:
    """Say that the session here has ended while the one at the OP may go on, and lead there without a hint."""
    return render(request, "oidc/logged_out.html", {"op_url": _url_at_op()})


@csrf_exempt
@never_cache
@require_POST
@transaction.non_atomic_requests
def backchannel_logout(request: HttpRequest) -> HttpResponse:
    """End the sessions that the OP names: 200 when they have ended, 400 for a token that is not obeyed (2.8)."""
    try:
        claims = read_logout_token(request.POST.getlist("logout_token"), now := time.time())
        # First write and commit, then read: a login that is being finished does the same (`session.begin`).
        spent = spend(claims, now)
        try:
            ended = session.end(conf.OIDC_OP_ISSUER, subject=spent.subject, sid=spent.sid)
        except Exception:
            spent.delete()  # so that the OP can send it again
            raise
    except (TokenError, LoginError) as error:
        logger.warning("back-channel logout refused reason=%s", error)
        name = error.rule.name.lower() if isinstance(error, TokenError) else error.reason.code
        return JsonResponse({"error": "invalid_request", "error_description": name}, status=400)
    _report(ended, spent.subject, spent.sid)
    return HttpResponse()


def read_logout_token(texts: list[str], now: float) -> Claims:
    """Return the claims of the one logout token of a request if it keeps every rule of section 2.6.

    Raises `TokenError`, or `LoginError` if the OP's keys cannot be had.
    """
    if len(texts) != 1:
        raise TokenError(Rule.MALFORMED, f"{len(texts)} logout tokens")
    claims = verification.read_token(texts[0])
    check_type(token_rules.read_header(texts[0])[1])
    token_rules.check_issuer(claims, conf.OIDC_OP_ISSUER)
    token_rules.check_audience(claims, conf.OIDC_RP_CLIENT_ID, conf.OIDC_TRUSTED_AUDIENCES)
    token_rules.check_issued_at(claims, now)
    # Some OPs leave exp out (Ory Hydra); iat and jti bound the token all the same.
    if "exp" in claims:
        token_rules.check_expiry(claims, now)
    check_event(claims)
    check_person(claims)
    return claims


def check_type(header: Claims) -> None:
    """`typ`, if there, is that of a logout token (section 2.4); many OPs write JWT."""
    if str(header.get("typ", "JWT")).lower() not in ("logout+jwt", "jwt"):
        raise TokenError(Rule.MALFORMED, f"typ is {shorten(header.get('typ'))}")


def check_event(claims: Claims) -> None:
    """`events` has the logout event, and there is no `nonce`, so that no ID Token passes (rules 5 and 6)."""
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise TokenError(Rule.MALFORMED, "no logout event")
    if "nonce" in claims:
        raise TokenError(Rule.NONCE, "a logout token has no nonce")


def check_person(claims: Claims) -> None:
    """`sub`, `sid` or both say who is meant (rule 4), `jti` makes the token unique."""
    named = [claims[name] for name in ("sub", "sid") if name in claims]
    if not named or not all(map(session.is_name, [*named, claims.get("jti")])):
        raise TokenError(Rule.SUBJECT, "neither sub nor sid, or no jti")


def spend(claims: Claims, now: float) -> SpentToken:
    """Note that a logout token was obeyed; raises `TokenError` if it was before, in any process (rule 7)."""
    digest = hashlib.sha256(f"{conf.OIDC_OP_ISSUER} {claims['jti']}".encode()).hexdigest()
    latest = now + 2 * token_rules.MAX_AGE_OF_ISSUE
    expires = datetime.fromtimestamp(min(claims.get("exp", latest), latest) + token_rules.LEEWAY, UTC)
    kept = {"expires": expires, "subject": claims.get("sub", ""), "sid": claims.get("sid", "")}
    spent, is_new = SpentToken.objects.get_or_create(digest=digest, defaults=kept)
    if not is_new:
        # The first time it may have been noted, and then not obeyed, as the database was gone.
        session.end(conf.OIDC_OP_ISSUER, subject=spent.subject, sid=spent.sid, before=spent.at)
        raise TokenError(Rule.TIME, "it was sent before")
    return spent


@xframe_options_exempt
@never_cache
@require_GET
def frontchannel_logout(request: HttpRequest) -> HttpResponse:
    """End the session that the OP names in a frame; where OIDC_FRONTCHANNEL_LOGOUT is off, raises `Http404`."""
    if not conf.OIDC_FRONTCHANNEL_LOGOUT:
        raise Http404
    issuer, sid = request.GET.get("iss"), request.GET.get("sid")
    op = urlsplit(conf.OIDC_OP_ISSUER)
    policy = {"Content-Security-Policy": f"default-src 'none'; frame-ancestors {op.scheme}://{op.netloc}"}
    # The browser sends no session cookie into a frame of another site, so the session is found by its name.
    # Entra ID leaves out iss, which has to be ours where it comes (section 2).
    if not session.is_name(sid) or issuer not in (None, *tenants.issuers()):
        text = "sid is needed, and iss must be the issuer"
        return HttpResponseBadRequest(text, content_type="text/plain", headers=policy)
    session.note_end(sid)
    _report(sum(session.end(known, sid=sid) for known in tenants.issuers()), "", sid)
    return HttpResponse("logged out", content_type="text/plain", headers=policy)


def _report(ended: int, subject: str, sid: str) -> None:
    logger.info("logout by the OP sessions=%d subject=%s issuer=%s", ended, subject or "-", conf.OIDC_OP_ISSUER)
    logged_out_by_op.send_robust(sender=LoginSession, subject=subject, sid=sid, sessions=ended)
