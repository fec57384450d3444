"""Renewal of sessions at the OP: a person whose account was closed there does not stay in here."""

import time

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from mozilla_django_oidc.middleware import SessionRefresh as LibrarySessionRefresh

from oidc import attempts
from oidc.conf import conf
from oidc.errors import LoginError
from oidc.views import leave_for_provider, refuse


class SessionRefresh(LibrarySessionRefresh):
    """Asks the OP again, without a page for the person (prompt=none), when a session is due.

    Due is a session whose last login or renewal is OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS ago; 0 turns this
    off. Which requests are examined is decided by the library's `is_refreshable_url`.
    """

    def __init__(self, get_response) -> None:
        if not conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS:
            raise MiddlewareNotUsed("OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS is 0")
        # The library's __init__ insists on an endpoint from the settings; ours may come from discovery.
        super(LibrarySessionRefresh, self).__init__(get_response)
        self.OIDC_EXEMPT_URLS = self.get_settings("OIDC_EXEMPT_URLS", [])

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Send a due page request on a round trip to the OP; a script gets 401 and the URL to log in at."""
        if not self.is_refreshable_url(request):
            return None
        if request.session.get("oidc_id_token_expiration", 0) > time.time():
            return None
        if request.headers.get("X-Requested-With") == "XMLHttpRequest":
            return JsonResponse({"login_url": reverse("oidc_authentication_init")}, status=401)
        next_url = request.get_full_path()
        try:
            return leave_for_provider(request, attempts.start(next_url, silent=True))
        except LoginError as error:
            return refuse(request, error, next_url)
