"""The pages for requests that fail.

They are rendered without a request, so neither a session nor a database that is down can make them fail too.

https://docs.djangoproject.com/en/stable/topics/http/views/#customizing-error-views
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(400, _("Bad request"), _("The site cannot make sense of this request."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    reason = str(exception) or _("Your account is not allowed to see this page.")
    return _page(403, _("No access"), reason)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(403, _("This form is out of date"), _("Go back, reload the page and send the form again."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(404, _("Page not found"), _("There is nothing at this address. It may have moved."))


def server_error(request: HttpRequest) -> HttpResponse:
    return _page(500, _("Something went wrong"), _("This is our fault, and it was logged. Please try again later."))


def _page(status: int, title: str, explanation: str) -> HttpResponse:
    context = {"site_name": settings.SITE_NAME, "status": status, "title": title, "explanation": explanation}
    return HttpResponse(render_to_string("error.html", context), status=status)
