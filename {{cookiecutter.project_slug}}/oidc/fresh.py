"""Step-up: views that want a login of just now, or one of a certain strength (Core 3.1.2.1)."""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse

from oidc import attempts
from oidc.answers import Kind, ask_to_log_in, kind_of
from oidc.errors import LoginError
from oidc.tokens import LEEWAY
from oidc.views import leave_for_provider, refuse

View = Callable[..., HttpResponse]


def fresh_login(max_age: int | None = None, acr: str | tuple[str, ...] = ()) -> Callable[[View], View]:
    """Return a decorator for a view that needs a login at most `max_age` seconds old, with one of `acr`.

    A page sends the person to the OP, which is asked for just that; what it did is verified in the ID Token.
    A form or a script gets 401: let the page that shows the form ask for the fresh login.
    """
    acr_values = (acr,) if isinstance(acr, str) else tuple(acr)

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.user.is_authenticated and is_fresh(request.session, max_age, acr_values, time.time()):
                return view(request, *args, **kwargs)
            if kind_of(request) is not Kind.PAGE:
                return ask_to_log_in(request)
            next_url = request.get_full_path()
            try:
                return leave_for_provider(request, attempts.start(next_url, max_age=max_age, acr_values=acr_values))
            except LoginError as error:
                return refuse(request, error, next_url)

        return wrapper

    return decorate


def is_fresh(session: Mapping[str, Any], max_age: int | None, acr_values: tuple[str, ...], now: float) -> bool:
    """Tell whether the login of `session` is young and strong enough; what the OP did not say is not."""
    if acr_values and session.get("oidc_acr") not in acr_values:
        return False
    if max_age is None:
        return True
    since = session.get("oidc_auth_time")
    return isinstance(since, int | float) and now <= since + max_age + LEEWAY
