"""The middleware that renews sessions at the OP: a person whose account was closed there does not stay in here."""

import codecs
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.signals import request_started
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import parse_header_parameters
from mozilla_django_oidc.middleware import SessionRefresh as LibrarySessionRefresh

from oidc.errors import LoginError
from oidc.internal import redirects, renewal, session
from oidc.internal.conf import conf
from oidc.views import refuse

# Beside those of the library: a login or a logout that a renewal stands in the way of would be lost.
OWN_URLS = ("oidc_initiate", "oidc_backchannel_logout", "oidc_frontchannel_logout", "oidc_logged_out", "oidc_logins")
# Charsets of queries and forms, by Python's names.
CHARSETS = {"utf-8", "iso8859-1", "ascii"}
UNREADABLE = "oidc.unreadable"
ADMIN_URLS = ("oidc_admin_login", "oidc_admin_logout", "oidc_break_glass")


@receiver(request_started)
def judge_charset(environ: dict[str, Any] | None = None, **kwargs: Any) -> None:
    """Mark a request whose charset no form has: Django takes any codec of Python's, such as rot13, and then crashes.

    That is before any middleware, so that the mark, `UNREADABLE`, takes the place of the Content-Type.
    """
    if environ is None or ";" not in environ.get("CONTENT_TYPE", ""):
        return
    try:
        _, parameters = parse_header_parameters(environ["CONTENT_TYPE"])
        is_readable = _charset(parameters.get("charset", "")) in (None, *CHARSETS)
    except (LookupError, ValueError):
        is_readable = False
    if not is_readable:
        environ |= {UNREADABLE: True, "CONTENT_TYPE": ""}


def _charset(name: str) -> str | None:
    """Return Python's name of a charset, None for one that nobody knows: Django takes that for UTF-8."""
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


class SessionRefresh(LibrarySessionRefresh):  # type: ignore[misc]  # the library has no types
    """Asks the OP again when the last login or renewal is OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS ago (0: never).

    The library redirects every GET and lets the rest pass; here `oidc.internal.renewal` decides what each request gets.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
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
        if UNREADABLE in request.META:
            return HttpResponseBadRequest("The Content-Type names a charset that forms do not have.", "text/plain")
        if (key := request.session.session_key) and not session.is_name(key):
            request.session = session.stored(None)  # PostgreSQL takes no NUL, not even to say that there is no such key
        if session.is_broken(request.session):
            request.session.flush()
            request.user = AnonymousUser()
        if not self.is_refreshable_url(request):
            return None
        try:
            return renewal.response_for(request)
        except LoginError as error:
            return refuse(request, error, redirects.this_page(request))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Go on knowing a session whose key the view has changed, as Django does when a password is set."""
        if response.status_code != 500:  # with which no cookie comes, and what the view has written may be undone
            session.follow_key(request.session, request.COOKIES.get(conf.SESSION_COOKIE_NAME))
        return response
