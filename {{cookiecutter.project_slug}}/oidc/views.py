"""The two legs of a login in the browser: leaving for the OP, and coming back.

Both are subclasses of mozilla-django-oidc's views, so its hooks `get_extra_params`, `login_success`
and `login_failure` work as it documents them. One error boundary goes around each leg.
"""

import logging
import secrets
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.contrib import auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from oidc import attempts, provider, sessions
from oidc.answers import login_url, safe_next_url
from oidc.attempts import Attempt
from oidc.conf import conf
from oidc.errors import OUTAGES, REFUSALS, LoginError, Reason, shorten
from oidc.signals import login_refused

logger = logging.getLogger(__name__)

# Answers to prompt=none that mean: ask the person (Core 3.1.2.6).
INTERACTION_NEEDED = {"login_required", "interaction_required", "consent_required", "account_selection_required"}
OP_ERRORS = {
    "access_denied": Reason.ACCESS_DENIED,
    "server_error": Reason.OP_UNAVAILABLE,
    "temporarily_unavailable": Reason.OP_UNAVAILABLE,
}
MAX_PARAMETER_CHARACTERS = 4096
# Session key and length in seconds of the pause before a renewal that the OP could not answer is tried again.
POSTPONED = "oidc_renewal_postponed_until"
PAUSE = 30


@method_decorator(never_cache, name="dispatch")
class AuthenticateView(OIDCAuthenticationRequestView):
    """Sends the browser to the OP's authorization endpoint (Core 3.1.2.1)."""

    def __init__(self, **kwargs: Any) -> None:
        # The library's __init__ insists on an endpoint from the settings; ours may come from discovery.
        super(OIDCAuthenticationRequestView, self).__init__(**kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Start a login that goes on to the local URL in `next`."""
        if other := canonical_host_url(request):
            return HttpResponseRedirect(other)
        attempt = attempts.start(safe_next_url(request, request.GET.get(conf.OIDC_REDIRECT_FIELD_NAME, "")))
        try:
            return leave_for_provider(request, attempt, self.get_extra_params(request))
        except LoginError as error:
            return refuse(request, error, attempt.next)


@method_decorator([never_cache, csrf_exempt], name="dispatch")
class CallbackView(OIDCAuthenticationCallbackView):
    """Takes the OP's answer (Core 3.1.2.5): as a query, or as a form where OIDC_RESPONSE_MODE is form_post."""

    http_method_names = ["get", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Finish a login."""
        return self.answer(request, request.GET)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Finish a login whose answer is a form; the state protects it, as no CSRF token can (Form Post 2)."""
        if conf.OIDC_RESPONSE_MODE != "form_post":
            return self.http_method_not_allowed(request)
        return self.answer(request, request.POST)

    def answer(self, request: HttpRequest, parameters: QueryDict) -> HttpResponse:
        """Return the response for an answer of the OP: on to the site, or the page of a failed login."""
        self.attempt: Attempt | None = None
        try:
            response = self.complete(request, parameters)
        except LoginError as error:
            self.error = error
            response = self.renewal_failure() if self.attempt and self.attempt.silent else self.login_failure()
        if self.attempt:
            attempts.forget(response, self.attempt.cookie)
        return response

    def complete(self, request: HttpRequest, parameters: QueryDict) -> HttpResponse:
        """Check the answer in the order in which it can be trusted - state, issuer, error, code - then log in."""
        state = single(parameters, "state")
        try:
            self.attempt = attempts.take(request, state)
        except LoginError:
            # A replayed callback of somebody who is in already (back button, reloaded tab) needs no error page.
            if request.user.is_authenticated:
                return HttpResponseRedirect(resolve_url(conf.LOGIN_REDIRECT_URL))
            raise
        if self.attempt.silent and not request.user.is_authenticated:
            # The person has logged out since; only a login that is asked for may undo that.
            return HttpResponseRedirect(self.success_url)
        check_callback_issuer(parameters)
        if op_error := single(parameters, "error"):
            if self.attempt.silent and op_error in INTERACTION_NEEDED:
                return leave_for_provider(request, attempts.start(self.attempt.next))
            reason = OP_ERRORS.get(op_error, Reason.OP_ERROR)
            description = shorten(single(parameters, "error_description"))
            raise LoginError(reason, description, op_error=shorten(op_error))
        code = single(parameters, "code")
        if not code:
            raise LoginError(Reason.CALLBACK_MALFORMED, "neither code nor error")
        self.user = auth.authenticate(request, code=code, attempt=self.attempt, redirect_uri=callback_url())
        if self.user is None:
            raise LoginError(Reason.CLAIMS_REFUSED, "the backend returned no user")
        if not self.user.is_active:
            raise LoginError(Reason.USER_INACTIVE, f"user {self.user.pk}", user=self.user)
        return self.login_success()

    @property
    def success_url(self) -> str:
        return self.attempt.next or resolve_url(conf.LOGIN_REDIRECT_URL)

    def login_success(self) -> HttpResponse:
        """Log the user in under a new session key; a renewal of the same user leaves session and CSRF token alone."""
        renewed = self.attempt.silent and self.request.user == self.user
        session = self.request.session
        if not renewed:
            sessions.forget(session.session_key)
            auth.login(self.request, self.user)
            # Django keeps the key if the same user logs in again (session fixation).
            session.cycle_key()
        session.update(getattr(self.request, "oidc_tokens", {}))
        now = time.time()
        session["oidc_id_token_expiration"] = now + conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS
        if not renewed:
            session["oidc_login_at"] = now
        if claims := getattr(self.request, "oidc_claims", None):
            session["oidc_auth_time"], session["oidc_acr"] = claims.get("auth_time"), claims.get("acr")
            sessions.remember(session.session_key, claims, self.request.oidc_refresh_token)
        outcome = "renewed" if renewed else "succeeded"
        logger.info("login %s user=%s issuer=%s", outcome, self.user.pk, conf.OIDC_OP_ISSUER)
        return HttpResponseRedirect(self.success_url)

    def renewal_failure(self) -> HttpResponse:
        """Let the session go on for a while if the OP has an outage; end it if the person is not wanted any more."""
        session = self.request.session
        grace_ends = session.get("oidc_id_token_expiration", 0) + conf.OIDC_RENEWAL_GRACE_SECONDS
        if self.error.reason in OUTAGES and self.request.user.is_authenticated and time.time() < grace_ends:
            logger.warning("renewal postponed reason=%s detail=%s", self.error.reason.code, self.error.detail)
            session[POSTPONED] = time.time() + PAUSE
            return HttpResponseRedirect(self.success_url)
        if self.error.reason in REFUSALS:
            auth.logout(self.request)
        return self.login_failure()

    def login_failure(self) -> HttpResponse:
        """Return the page of a failed login; `self.error` says why."""
        return refuse(self.request, self.error, self.attempt.next if self.attempt else "")


@method_decorator([never_cache, csrf_exempt], name="dispatch")
class InitiateView(View):
    """Starts a login that a third party, such as the OP's list of applications, asks for (Core 4)."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.initiate(request, request.GET)

    def post(self, request: HttpRequest) -> HttpResponse:
        return self.initiate(request, request.POST)

    def initiate(self, request: HttpRequest, parameters: QueryDict) -> HttpResponse:
        """Send the browser to the OP, or straight on if somebody is signed in: nobody is switched unasked."""
        next_url = ""
        try:
            next_url = safe_next_url(request, single(parameters, "target_link_uri"))
            if (issuer := single(parameters, "iss")) != conf.OIDC_OP_ISSUER:
                raise LoginError(Reason.CALLBACK_ISSUER, f"iss is {shorten(issuer)}, expected {conf.OIDC_OP_ISSUER!r}")
            if request.user.is_authenticated:
                return HttpResponseRedirect(next_url or resolve_url(conf.LOGIN_REDIRECT_URL))
            hint = single(parameters, "login_hint")
            return leave_for_provider(request, attempts.start(next_url), {"login_hint": hint} if hint else None)
        except LoginError as error:
            return refuse(request, error, next_url)


def leave_for_provider(request: HttpRequest, attempt: Attempt, extra: dict[str, str] | None = None) -> HttpResponse:
    """Return the redirect to the OP for `attempt`, with the attempt's cookie.

    `extra` are further parameters of the authorization request; they cannot replace those of the protocol.
    Raises `LoginError` if the OP's metadata cannot be had.
    """
    endpoint = provider.endpoint("authorization_endpoint")
    if not endpoint:
        raise LoginError(Reason.METADATA_INVALID, "the metadata has no authorization_endpoint")
    further = {**conf.OIDC_AUTH_REQUEST_EXTRA_PARAMS, **(extra or {})}
    attempt = asking(attempt, further)
    parameters = {
        **further,
        "response_type": "code",
        "scope": conf.OIDC_RP_SCOPES,
        "client_id": conf.OIDC_RP_CLIENT_ID,
        "redirect_uri": callback_url(),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.code_challenge,
        "code_challenge_method": "S256",
    }
    if conf.OIDC_RESPONSE_MODE != "query":
        parameters["response_mode"] = conf.OIDC_RESPONSE_MODE
    if attempt.silent:
        parameters["prompt"] = "none"
    if attempt.max_age is not None:
        parameters["max_age"] = str(attempt.max_age)
    if attempt.acr_values:
        parameters["acr_values"] = " ".join(attempt.acr_values)
    url = urlsplit(endpoint)
    query = dict(parse_qsl(url.query, keep_blank_values=True)) | parameters
    response = HttpResponseRedirect(url._replace(query=urlencode(query)).geturl())
    attempts.remember(request, response, attempt)
    return response


def asking(attempt: Attempt, further: dict[str, Any]) -> Attempt:
    """Return `attempt` with what further parameters ask of the OP, so that its answer is held against that."""
    max_age, acr_values = attempt.max_age, attempt.acr_values
    if max_age is None and str(further.get("max_age", "")).isdecimal():
        max_age = int(further["max_age"])
    if not acr_values and further.get("acr_values"):
        acr_values = tuple(str(further["acr_values"]).split())
    return replace(attempt, max_age=max_age, acr_values=acr_values)


def callback_url() -> str:
    """Return the redirect URI: the same in both legs, from SITE_URL, whatever Host header a request has."""
    return conf.SITE_URL + reverse(conf.OIDC_AUTHENTICATION_CALLBACK_URL)


def canonical_host_url(request: HttpRequest) -> str:
    """Return where on SITE_URL a login must begin, "" if it does there.

    The OP sends the browser back to SITE_URL, and a cookie of 127.0.0.1 is not sent to localhost. Other
    hosts are left alone: behind a proxy that rewrites the Host header the redirect would go in circles.
    """
    site = urlsplit(conf.SITE_URL)
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    host, _, port = request.get_host().rpartition(":")
    if host in loopback and host != site.hostname and site.hostname in loopback and port == str(site.port or 80):
        return conf.SITE_URL + request.get_full_path()
    return ""


def single(parameters: QueryDict, name: str) -> str:
    """Return a parameter that may stand once (RFC 6749 3.1), "" if it is not there; raises `LoginError`."""
    values = parameters.getlist(name)
    if len(values) > 1 or any(len(value) > MAX_PARAMETER_CHARACTERS for value in values):
        raise LoginError(Reason.CALLBACK_MALFORMED, f"{name} stands twice or is too long")
    return values[0] if values else ""


def check_callback_issuer(parameters: QueryDict) -> None:
    """Check the `iss` of the answer (RFC 9207 2.4): ours if it is there, and there if the OP announces it."""
    issuer = single(parameters, "iss")
    announced = provider.needs_metadata() and provider.metadata().get("authorization_response_iss_parameter_supported")
    if (issuer or announced is True) and issuer != conf.OIDC_OP_ISSUER:
        raise LoginError(Reason.CALLBACK_ISSUER, f"iss is {shorten(issuer)}, expected {conf.OIDC_OP_ISSUER!r}")


def refuse(request: HttpRequest, error: LoginError, next_url: str = "") -> HttpResponse:
    """Turn a failed login into one log line, one signal and one page that the person can act on."""
    reason = error.reason
    reference = secrets.token_hex(4).upper()
    logger.warning(
        "login refused reason=%s reference=%s issuer=%s endpoint=%s op_error=%s detail=%s",
        reason.code,
        reference,
        conf.OIDC_OP_ISSUER,
        error.endpoint or "-",
        error.op_error or "-",
        error.detail or "-",
    )
    login_refused.send_robust(sender=type(error), request=request, reason=reason, reference=reference, user=error.user)
    context = {
        "title": _("Sign-in failed"),
        "explanation": reason.explanation,
        "action": reason.action,
        "reference": reference,
        "retry_url": login_url(next_url),
        "developer": {"reason": reason.code, "detail": error.detail, "mend": reason.mend} if conf.DEBUG else None,
    }
    return render(request, "oidc/login_failed.html", context, status=reason.status)
