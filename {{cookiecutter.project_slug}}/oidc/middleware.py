"""Renewal of sessions at the OP: a person whose account was closed there does not stay in here."""

import time

from django.contrib import auth
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from mozilla_django_oidc.auth import OIDCAuthenticationBackend as LibraryBackend
from mozilla_django_oidc.middleware import SessionRefresh as LibrarySessionRefresh

from oidc import attempts, provider, refresh
from oidc.answers import SAFE_METHODS, Kind, ask_to_log_in, kind_of
from oidc.conf import conf
from oidc.errors import LoginError, Reason
from oidc.refresh import Outcome
from oidc.views import POSTPONED, leave_for_provider, refuse


class SessionRefresh(LibrarySessionRefresh):
    """Asks the OP again when the last login or renewal is OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS ago (0: never).

    A page makes a round trip to the OP that shows nothing to the person (prompt=none); scripts and htmx
    are told where to log in. For OIDC_RENEWAL_GRACE_SECONDS longer, whatever changes data still passes, so
    that nothing that was typed is lost, and so does everything while the OP is down. A session that is older
    than OIDC_SESSION_MAX_SECONDS (0: any age) ends.
    """

    def __init__(self, get_response) -> None:
        if not conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS and not conf.OIDC_SESSION_MAX_SECONDS:
            raise MiddlewareNotUsed("sessions are neither renewed nor limited")
        # The library's __init__ insists on an endpoint from the settings; ours may come from discovery.
        super(LibrarySessionRefresh, self).__init__(get_response)
        self.OIDC_EXEMPT_URLS = self.get_settings("OIDC_EXEMPT_URLS", [])

    def is_refreshable_url(self, request: HttpRequest) -> bool:
        """Tell whether the session came from the OP and the URL is not exempt; the library looks at GET only."""
        backend = request.session.get(auth.BACKEND_SESSION_KEY)
        return (
            backend is not None
            and issubclass(import_string(backend), LibraryBackend)
            and request.path not in self.exempt_urls
            and not any(pattern.match(request.path) for pattern in self.exempt_url_patterns)
            and request.user.is_authenticated
        )

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return None for a request that may go on, else the answer in its place."""
        kind = kind_of(request)
        if not self.is_refreshable_url(request):
            return None
        now, session = time.time(), request.session
        limit = conf.OIDC_SESSION_MAX_SECONDS
        if limit and now - session.get("oidc_login_at", now) > limit:
            auth.logout(request)
            # A page that everybody may see needs no login; one that needs it asks for it itself.
            return None if kind in (Kind.PAGE, Kind.NOBODY) else ask_to_log_in(request)
        due = session.get("oidc_id_token_expiration", 0)
        is_due = conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS and now >= max(due, session.get(POSTPONED, 0))
        if not is_due:
            return None
        in_grace = now < due + conf.OIDC_RENEWAL_GRACE_SECONDS
        if kind is Kind.NOBODY:
            # Anybody can send such a header, so it opens nothing for longer than the grace.
            return None if in_grace else HttpResponse(status=401)
        return self.renew(request, kind, in_grace=in_grace)

    def renew(self, request: HttpRequest, kind: Kind, *, in_grace: bool) -> HttpResponse | None:
        """Renew a session that is due, in the background where there is a refresh token."""
        outcome = refresh.renew(request)
        if outcome is Outcome.RENEWED or (in_grace and outcome is Outcome.LATER):
            return None
        if outcome is Outcome.REFUSED:
            auth.logout(request)
            return ask_to_log_in(request)
        if in_grace and (request.method not in SAFE_METHODS or not provider.is_reachable()):
            return None
        if kind is not Kind.PAGE:
            return ask_to_log_in(request)
        next_url = request.get_full_path()
        try:
            if not provider.is_reachable():
                raise LoginError(Reason.OP_UNREACHABLE, "for longer than the grace period")
            return leave_for_provider(request, attempts.start(next_url, silent=True))
        except LoginError as error:
            return refuse(request, error, next_url)
