"""The two legs of a login in the browser, leaving for the OP and coming back, with an error boundary around each.

The hooks of mozilla-django-oidc's views, `get_extra_params`, `login_success` and `login_failure`, work as documented.
"""

import json
import logging
import secrets
import time
from datetime import datetime
from typing import Any

from django.contrib import auth
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from oidc import errors
from oidc.errors import Kind, LoginError, shorten
from oidc.internal import authorization, discovery, limits, provider, redirects, renewal, session, trace, verification
from oidc.internal.authorization import Attempt
from oidc.internal.conf import conf
from oidc.internal.verification import Login
from oidc.signals import login_refused, login_renewed

logger = logging.getLogger(__name__)

# What a link may ask of the OP: "use another account" (Core 3.1.2.1).
PROMPTS = ("select_account", "login")
MAX_PARAMETER_CHARACTERS = 4096
SESSION_SETTINGS = ("OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS", "OIDC_RENEWAL", "OIDC_SESSION_MAX_SECONDS")


@method_decorator(never_cache, name="dispatch")
class AuthenticateView(OIDCAuthenticationRequestView):  # type: ignore[misc]  # the library has no types
    """Sends the browser to the OP's authorization endpoint (Core 3.1.2.1)."""

    def __init__(self, **kwargs: Any) -> None:
        # The library's __init__ insists on an endpoint from the settings; ours may come from discovery.
        super(OIDCAuthenticationRequestView, self).__init__(**kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Start a login that goes on to the local URL in `next`, with one of `PROMPTS` if the query has it."""
        if url := redirects.canonical_url(request):
            return HttpResponseRedirect(url)
        attempt = Attempt(redirects.safe_url(request, request.GET.get(conf.OIDC_REDIRECT_FIELD_NAME, "")))
        try:
            limits.check(request)
            provider.check_responds()
            return authorization.leave(request, attempt, {**self.get_extra_params(request), **prompt_of(request)})
        except LoginError as error:
            return refuse(request, error, attempt.next)


# Its rows are committed at once, so that a logout at the same time sees them (`session.begin`).
@method_decorator([trace.recorded, never_cache, csrf_exempt, transaction.non_atomic_requests], name="dispatch")
class CallbackView(OIDCAuthenticationCallbackView):  # type: ignore[misc]  # the library has no types
    """Takes the OP's response (Core 3.1.2.5): as a query, or as a form where OIDC_RESPONSE_MODE is form_post."""

    http_method_names = ["get", "post"]

    # What the OP's response has brought, for the hooks `login_success` and `login_failure`.
    attempt: Attempt | None = None
    login: Login
    since: datetime
    user: Any
    error: LoginError

    def post(self, request: HttpRequest) -> HttpResponse:
        """Finish a login whose response is a form; the state protects it, as no CSRF token can (Form Post 2)."""
        return self.get(request) if conf.OIDC_RESPONSE_MODE == "form_post" else HttpResponseNotAllowed(["GET"])

    def get(self, request: HttpRequest) -> HttpResponse:
        """Finish a login: return where the browser goes now, on to the site or to the page of a failed login."""
        try:
            response = self.complete(request, request.POST if request.method == "POST" else request.GET)
        except LoginError as error:
            self.error = error
            is_renewal = self.attempt is not None and self.attempt.silent
            way_on = renewal.after_failure(request, error, self.success_url) if is_renewal else None
            if error.reason.kind is Kind.REFUSED and session.is_closed(request.session):
                # Who does not want to log in again, or must not, can go on without a login.
                auth.logout(request)
            response = way_on or self.login_failure()
        if self.attempt:
            authorization.forget(response, self.attempt.state)
        return response

    def complete(self, request: HttpRequest, parameters: QueryDict) -> HttpResponse:
        """Check the response in the order in which it can be trusted - state, issuer, error, code - then log in."""
        try:
            attempt = self.attempt = authorization.take(request, single(parameters, "state"))
        except LoginError:
            # A replayed callback of somebody who is in already (back button, reloaded tab) needs no error page.
            if request.user.is_authenticated:
                return HttpResponseRedirect(redirects.home_url())
            raise
        trace.go_on(attempt.state)
        trace.step("The sign-in service sent the browser back", parameters)
        attempt.check_age(time.time())
        if attempt.silent and not request.user.is_authenticated:
            # The person has logged out since; only a login that is asked for may undo that.
            return HttpResponseRedirect(self.success_url)
        check_callback_issuer(single(parameters, "iss"))
        if op_error := single(parameters, "error"):
            if attempt.silent and (response := renewal.after_silent_error(request, attempt, op_error)):
                return response
            description = shorten(single(parameters, "error_description"))
            raise LoginError(errors.OF_OP.get(op_error, errors.OP_ERROR), description, op_error=shorten(op_error))
        if not (code := single(parameters, "code")):
            raise LoginError(errors.CALLBACK_MALFORMED, "neither code nor error")
        self.since = timezone.now()
        with limits.exchange(request):
            tokens = provider.exchange_code(code, redirects.callback_url(), attempt.code_verifier)
        self.login = verification.verify(tokens, attempt)
        self.user = auth.authenticate(request, verified_claims=self.login.claims)
        if self.user is None:
            raise LoginError(errors.CLAIMS_REFUSED, "the backend returned no user")
        limits.remember(response := self.login_success())
        return response

    @property
    def success_url(self) -> str:
        return (self.attempt and self.attempt.next) or redirects.home_url()

    def login_success(self) -> HttpResponse:
        """Begin a session; a renewal of the same user goes on in the one that there is."""
        if self.attempt and self.attempt.silent and self.request.user == self.user:
            outcome = "renewed"
            session.extend(self.request, self.login)
            login_renewed.send_robust(sender=type(self), request=self.request, user=self.user)
        else:
            outcome = "succeeded"
            session.begin(self.request, self.user, self.login, self.since)
        logger.info("login %s user=%s issuer=%s", outcome, self.user.pk, conf.OIDC_OP_ISSUER)
        trace.step(f"The login {outcome}", {"user": self.user, "on to": self.success_url}, *SESSION_SETTINGS)
        return HttpResponseRedirect(self.success_url)

    def login_failure(self) -> HttpResponse:
        """Return the page of a failed login; `self.error` says why."""
        return refuse(self.request, self.error, self.attempt.next if self.attempt else "")


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def initiate(request: HttpRequest) -> HttpResponse:
    """Start a login that a third party, such as the OP's list of applications, asks for (Core 4).

    Whoever is logged in goes straight on: nobody is switched unasked.
    """
    if request.method == "POST":
        # From another site it comes without the session cookie, which knows who is logged in.
        response = HttpResponseRedirect(f"{request.path}?{request.POST.urlencode()[:MAX_PARAMETER_CHARACTERS]}")
        response.status_code = 303
        return response
    parameters, next_url = request.GET, ""
    try:
        next_url = redirects.safe_url(request, single(parameters, "target_link_uri"))
        check_issuer(single(parameters, "iss"))
        if request.user.is_authenticated:
            return HttpResponseRedirect(next_url or redirects.home_url())
        hint = single(parameters, "login_hint")
        limits.check(request)
        provider.check_responds()
        return authorization.leave(request, Attempt(next_url), {"login_hint": hint} if hint else None)
    except LoginError as error:
        return refuse(request, error, next_url)


@never_cache
def logins(request: HttpRequest) -> HttpResponse:
    """Show a developer the last logins of this browser step by step; raises `Http404` unless DEBUG is on."""
    if not conf.DEBUG:
        raise Http404
    return render(request, "oidc/logins.html", {"logins": list(enumerate(trace.logins_of(request)))})


@never_cache
def admin_login(request: HttpRequest) -> HttpResponse:
    """Send to the OP in place of the admin's password form.

    Raises `PermissionDenied` for those who are logged in but not staff: another login would bring them here again.
    """
    next_url = redirects.safe_url(request, request.GET.get("next", "")) or reverse("admin:index")
    if not request.user.is_authenticated:
        return redirect_to_login(next_url)
    if not getattr(request.user, "is_staff", False):
        raise PermissionDenied(_("You are logged in, but you are not staff."))
    return HttpResponseRedirect(next_url)


def single(parameters: QueryDict, name: str) -> str:
    """Return a parameter that may come once (RFC 6749 3.1), "" if it did not come; raises `LoginError`."""
    values = parameters.getlist(name)
    if len(values) > 1 or any(len(value) > MAX_PARAMETER_CHARACTERS for value in values):
        raise LoginError(errors.CALLBACK_MALFORMED, f"{name} came more than once or is too long")
    return values[0] if values else ""


def prompt_of(request: HttpRequest) -> dict[str, str]:
    """Return the parameter `prompt` for the OP: the one of the query, or "login" if the OP has no choice of accounts.

    Raises `LoginError` if the OP's metadata cannot be had.
    """
    if (prompt := request.GET.get("prompt")) not in PROMPTS:
        return {}
    supported = discovery.metadata().get("prompt_values_supported") if discovery.is_needed() else None
    return {"prompt": "login" if isinstance(supported, list) and prompt not in supported else prompt}


def check_callback_issuer(issuer: str) -> None:
    """Check the `iss` of the response (RFC 9207 2.4): ours if it is there, and there if the OP announces it."""
    announcement = "authorization_response_iss_parameter_supported"
    if issuer or (discovery.is_needed() and discovery.metadata().get(announcement) is True):
        check_issuer(issuer)


def check_issuer(issuer: str) -> None:
    """Raise `LoginError` (CALLBACK_ISSUER) for another issuer than the one of this site."""
    if issuer != conf.OIDC_OP_ISSUER:
        raise LoginError(errors.CALLBACK_ISSUER, f"iss is {shorten(issuer)}, expected {conf.OIDC_OP_ISSUER!r}")


@trace.recorded
def refuse(request: HttpRequest, error: LoginError, next_url: str = "") -> HttpResponse:
    """Turn a failed login into one log line, one signal and one page for the person, or JSON for `fetch`."""
    reason = error.reason
    reference = secrets.token_hex(4).upper()
    line = "login refused reason=%s reference=%s issuer=%s endpoint=%s op_error=%s detail=%s hint=%s"
    where_and_why = [text or "-" for text in (error.endpoint, error.op_error, error.detail, error.hint)]
    told = {"reason": reason.code, "reference": reference}
    logger.warning(line, reason.code, reference, conf.OIDC_OP_ISSUER, *where_and_why, extra=told)
    login_refused.send_robust(sender=type(error), request=request, reason=reason, reference=reference, user=error.user)
    known = {name: getattr(error, name) for name in ("detail", "hint", "op_error", "endpoint")}
    known["manual"] = f"{errors.MANUAL}#{reason.code}" if reason in errors.REASONS else ""
    trace.step(f"The login is refused: {reason.code}", known)
    context = {
        "explanation": reason.explanation,
        "action": reason.action,
        "reference": reference,
        "retry_url": redirects.login_url(next_url),
        # The OP would take the person who is logged in there again.
        "other_account_url": redirects.login_url(next_url, PROMPTS[0]) if reason.kind is errors.Kind.REFUSED else "",
        "developer": {"reason": reason.code, "logins_url": reverse("oidc_logins"), **known} if conf.DEBUG else None,
    }
    if redirects.kind_of(request) is redirects.Kind.SCRIPT:
        body = json.dumps({"reason": reason.code, "message": str(reason.explanation), "reference": reference})
        response = HttpResponse(body, "application/json", reason.status)
    else:
        response = render(request, "oidc/login_failed.html", context, status=reason.status)
    # Django would add a line of its own, for an OP that is down an error of this site.
    response._has_been_logged = True  # type: ignore[attr-defined]
    if reason is errors.TOO_MANY_FAILURES:
        response["Retry-After"] = str(limits.SECONDS)
    return response
