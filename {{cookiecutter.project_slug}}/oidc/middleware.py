"""The middleware that renews sessions at the OP: a person whose account was closed there does not stay in here."""

from collections.abc import Callable
from contextlib import suppress

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from mozilla_django_oidc.middleware import SessionRefresh as LibrarySessionRefresh

from oidc.errors import LoginError
from oidc.internal import redirects, renewal, session
from oidc.internal.conf import conf
from oidc.views import refuse

# Beside those of the library: a login or a logout that a renewal stands in the way of would be lost.
OWN_URLS = ("oidc_initiate", "oidc_backchannel_logout", "oidc_frontchannel_logout", "oidc_logged_out")
ADMIN_URLS = ("oidc_admin_login", "oidc_admin_logout", "oidc_break_glass")


class SessionRefresh(LibrarySessionRefresh):  # type: ignore[misc]  # the library has no types
    """Asks the OP again when the last login or renewal is OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS ago (0: never).

    The library redirects every GET and lets the rest pass; here `oidc.internal.renewal` decides what each request gets.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS and not conf.OIDC_SESSION_MAX_SECONDS:
            raise MiddlewareNotUsed("sessions are neither renewed nor limited")
        # The library's __init__ insists on an endpoint from the settings; ours may come from discovery.
        super(LibrarySessionRefresh, self).__init__(get_response)
        self.OIDC_EXEMPT_URLS = [*conf.OIDC_EXEMPT_URLS, *OWN_URLS]
        with suppress(NoReverseMatch):  # a site may do without the admin
            self.OIDC_EXEMPT_URLS += map(reverse, ADMIN_URLS)

    def is_refreshable_url(self, request: HttpRequest) -> bool:
        """Tell whether sessions are looked at here; the library asks for GET and for its own backend, too."""
        path = request.path
        return path not in self.exempt_urls and not any(pattern.match(path) for pattern in self.exempt_url_patterns)

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return None for a request that may go on, else the response in its place."""
        if not self.is_refreshable_url(request):
            return None
        try:
            return renewal.response_for(request)
        except LoginError as error:
            return refuse(request, error, redirects.this_page(request))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Go on knowing a session whose key the view has changed, as Django does when a password is set."""
        session.follow_key(request.session, request.COOKIES.get(conf.SESSION_COOKIE_NAME))
        return response
