"""Renewal: when a session has to be renewed at the OP, how, and what each kind of request gets meanwhile.

| kind of request | due, within the grace period | beyond it, or after the OP has said no |
|---|---|---|
| page | silent round trip to the OP (prompt=none), back to the same page | the same |
| form, or a script or htmx that changes data | passes | 401 |
| script or htmx that reads | 401, or a redirect that htmx understands | the same |
| HEAD, OPTIONS, prefetch | passes | 401 |

With OIDC_RENEWAL = "refresh_token" the OP is asked in the background first, for every kind but the last; beyond the
grace period the other requests of the session wait for that, a second at most. While the OP is down everything passes
within the grace period. OpenID Connect Core 3.1.2.1 and 12.
"""

import logging
import time
from threading import BoundedSemaphore

from django.contrib import auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from oidc import errors, threads
from oidc.errors import LoginError
from oidc.internal import authorization, discovery, provider, redirects, session, trace, verification
from oidc.internal.authorization import Attempt
from oidc.internal.conf import conf
from oidc.internal.redirects import Kind
from oidc.signals import login_renewed, renewal_failed

logger = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 1.0
POLL_SECONDS = 0.05
_places = BoundedSemaphore(8)


def response_for(request: HttpRequest) -> HttpResponse | None:
    """Return None for a request that may go on, else the response in its place; raises `LoginError`."""
    if not session.began_at_op(request.session):
        return None
    now = time.time()
    if session.is_over(request.session, now):
        auth.logout(request)
        # A page that everybody may see needs no login; one that needs it asks for it itself.
        is_page = redirects.kind_of(request) in (Kind.PAGE, Kind.NOBODY)
        return None if is_page else redirects.ask_to_log_in(request)
    if not session.is_due(request.session, now) or not request.user.is_authenticated:
        return None
    # To know the user may have changed its key, after a change of SECRET_KEY.
    session.follow_key(request.session, request.COOKIES.get(conf.SESSION_COOKIE_NAME))
    kind = redirects.kind_of(request)
    may_go_on = session.is_in_grace(request.session, now)
    if kind is Kind.NOBODY:
        # Anybody can send such a header, so it opens nothing for longer than the grace period.
        return None if may_go_on else HttpResponse(status=401)
    if conf.OIDC_RENEWAL == "refresh_token":
        if _use_refresh_token(request) or (not may_go_on and _is_renewed_meanwhile(request)):
            return None
        if not request.user.is_authenticated:
            return redirects.ask_to_log_in(request)
        may_go_on = session.is_in_grace(request.session, now)
    changes_data = request.method not in redirects.SAFE_METHODS
    if may_go_on and (changes_data or session.is_paused(request.session) or not discovery.op_is_reachable()):
        return None
    if kind is not Kind.PAGE:
        return redirects.ask_to_log_in(request)
    if not discovery.op_is_reachable():
        raise LoginError(errors.OP_UNREACHABLE, "for longer than the grace period")
    return authorization.leave(request, Attempt(redirects.this_page(request), silent=True))


def after_silent_error(request: HttpRequest, attempt: Attempt, op_error: str) -> HttpResponse | None:
    """Return the way to an interactive login if that is what the OP wants, else None.

    The OP does not vouch for the person any more, so the session is closed until it does; raises `LoginError`.
    """
    if op_error not in errors.INTERACTION_NEEDED:
        return None
    logger.warning("session closed user=%s op_error=%s", request.user.pk, op_error)
    _tell_failure(request, errors.OF_OP[op_error])
    session.close(request.session)
    return authorization.leave(request, Attempt(attempt.next))


def after_failure(request: HttpRequest, error: LoginError, url: str) -> HttpResponse | None:
    """Return the way on to `url` if a session goes on although its renewal failed, else None.

    It goes on for the grace period if the OP could not say anything; it ends if the person is refused.
    """
    _tell_failure(request, error.reason)
    if error.reason.kind is errors.Kind.REFUSED:
        auth.logout(request)
        return None
    is_logged_in = request.user.is_authenticated
    if not (_says_nothing(error) and is_logged_in and session.is_in_grace(request.session, time.time())):
        return None
    _log_failure(request, error)
    if not session.pause(request.session):
        # Nothing could end this session, and nothing keep it from asking the OP with each page.
        auth.logout(request)
        return None
    return HttpResponseRedirect(url)


@trace.recorded
def _use_refresh_token(request: HttpRequest) -> bool:
    """Renew in the background, one request at a time across all processes; tell whether it is done.

    Whoever is refused is logged out. After `invalid_grant` the browser has to make the round trip.
    """
    if (claimed := session.claim_refresh_token(request.session)) is None:
        return False
    subject, refresh_token = claimed
    try:
        tokens = provider.refresh(refresh_token)
        session.keep_refresh_token(request.session, tokens.refresh_token)
        login = verification.verify_refreshed(tokens, session.what_login_said(request.session, subject))
        user = auth.authenticate(request, verified_claims=login.claims)
        if user is None or user != request.user:
            raise LoginError(errors.CLAIMS_REFUSED, "the refreshed claims are another user's")
        session.extend(request, login)
    except LoginError as error:
        _log_failure(request, error)
        _tell_failure(request, error.reason)
        if error.reason is errors.CODE_REFUSED:
            session.drop_refresh_token(request.session)
            session.close(request.session)
        elif _says_nothing(error):
            session.pause(request.session)
        else:
            auth.logout(request)
        return False
    # The rights may have changed with the claims.
    request.user = user
    trace.step("The login is renewed in the background", {"user": user})
    logger.info("login renewed user=%s issuer=%s", user.pk, conf.OIDC_OP_ISSUER)
    login_renewed.send_robust(sender=Attempt, request=request, user=user)
    return True


def _is_renewed_meanwhile(request: HttpRequest) -> bool:
    """Wait a second at most for the request that has the refresh token; tell whether the session is good then.

    Few threads of a process wait at the same time, so that a slow OP does not keep it from serving pages.
    """
    if session.is_being_renewed(request.session) and _places.acquire(blocking=False):
        try:
            until = time.monotonic() + MAX_WAIT_SECONDS
            while session.is_being_renewed(request.session) and time.monotonic() < until:
                with threads.waiting():
                    time.sleep(POLL_SECONDS)
        finally:
            _places.release()
    # Also without waiting: it may have been renewed since this request has read it.
    now = session.stored(request.session.session_key)
    if not session.began_at_op(now) or session.is_due(now, time.time()):
        return False
    request.session = now
    request.user = auth.get_user(request)
    return request.user.is_authenticated


def _says_nothing(error: LoginError) -> bool:
    return error.reason.kind in (errors.Kind.OUTAGE, errors.Kind.MISCONFIGURED)


def _tell_failure(request: HttpRequest, reason: errors.Reason) -> None:
    renewal_failed.send_robust(sender=LoginError, request=request, user=request.user, reason=reason)


def _log_failure(request: HttpRequest, error: LoginError) -> None:
    line = "renewal failed reason=%s user=%s endpoint=%s op_error=%s detail=%s hint=%s"
    where_and_why = [text or "-" for text in (error.endpoint, error.op_error, error.detail, error.hint)]
    logger.warning(line, error.reason.code, request.user.pk, *where_and_why, extra={"reason": error.reason.code})
    trace.step(f"The renewal failed: {error.reason.code}", {"detail": error.detail, "hint": error.hint})
