"""The pages for requests that fail.

https://docs.djangoproject.com/en/stable/topics/http/views/#customizing-error-views
"""

import sys

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 400, _("Bad request"), _("The site cannot make sense of this request."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    reason = str(exception) or _("Your account is not allowed to see this page.")
    return _page(request, 403, _("No access"), reason)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(request, 403, _("This form is out of date"), _("Go back, reload the page and send the form again."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 404, _("Page not found"), _("There is nothing at this address. It may have moved."))


def server_error(request: HttpRequest) -> HttpResponse:
    explanation = _("This is our fault, and it was logged. Please try again later.")
    # Who is logged in is in the database: nobody waits for it twice.
    has_database = not isinstance(sys.exc_info()[1], DatabaseError)
    return _page(request if has_database else None, 500, _("Something went wrong"), explanation)


def _page(request: HttpRequest | None, status: int, title: str, explanation: str) -> HttpResponse:
    context = {"site_name": settings.SITE_NAME, "status": status, "title": title, "explanation": explanation}
    try:
        # A copy, as Jinja2 adds to it what it then knows of the user.
        html = render_to_string("error.html", {**context}, request)
    except Exception:  # noqa: BLE001 - the header says who is logged in, unless a session or a database is down
        html = render_to_string("error.html", context)
    return HttpResponse(html, status=status)
