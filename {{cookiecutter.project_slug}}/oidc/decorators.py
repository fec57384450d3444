"""Decorators for views: a fresh or a stronger login (step-up, Core 3.1.2.1), and 401 for scripts."""

import time
from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse

from oidc.errors import LoginError
from oidc.internal import authorization, redirects, session
from oidc.internal.authorization import Attempt
from oidc.internal.redirects import Kind
from oidc.views import refuse

View = Callable[..., HttpResponse]


def fresh_login(max_age: int | None = None, acr: str | tuple[str, ...] = ()) -> Callable[[View], View]:
    """Return a decorator for a view that needs a login at most `max_age` seconds old, with one of `acr`.

    A page sends the person to the OP, which is asked for just that; what it did is verified in the ID Token.
    A form or a script gets 401: let the page that shows the form ask for the fresh login.
    """
    acr_values = (acr,) if isinstance(acr, str) else tuple(acr)

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            if request.user.is_authenticated and session.is_fresh(request.session, max_age, acr_values, time.time()):
                return view(request, *args, **kwargs)
            if redirects.kind_of(request) is not Kind.PAGE:
                return redirects.ask_to_log_in(request)
            attempt = Attempt(redirects.this_page(request), max_age=max_age, acr_values=acr_values)
            try:
                return authorization.leave(request, attempt)
            except LoginError as error:
                return refuse(request, error, attempt.next)

        return wrapper

    return decorate


def api_login_required(view: View) -> View:
    """Make a view for `fetch` respond with 401 and `{"login_url": ...}` where `login_required` would redirect.

    htmx is sent to the login by `HX-Redirect`, as everywhere.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        is_htmx = redirects.kind_of(request) is Kind.HTMX
        return redirects.ask_to_log_in(request) if is_htmx else redirects.unauthorized()

    return wrapper
