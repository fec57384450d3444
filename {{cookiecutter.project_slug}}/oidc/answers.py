"""What to answer when a login is needed, in the form that the sender of the request understands."""

from enum import Enum
from urllib.parse import urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from oidc.conf import conf

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


class Kind(Enum):
    """Who waits for the answer."""

    PAGE = "a person who goes to a page"
    FORM = "a person who sends a form"
    HTMX = "htmx, which follows HX-Redirect"
    SCRIPT = "a script, which a redirect to another host does not help"
    NOBODY = "nobody: HEAD, OPTIONS, a page that is fetched in advance"


def kind_of(request: HttpRequest) -> Kind:
    """Return who waits, by the headers that browsers and htmx send (Fetch Metadata)."""
    headers = request.headers
    purpose = headers.get("Sec-Purpose", headers.get("Purpose", ""))
    if request.method in SAFE_METHODS - {"GET"} or (request.method == "GET" and "prefetch" in purpose):
        return Kind.NOBODY
    if headers.get("HX-Request") == "true":
        return Kind.HTMX
    accepted = headers.get("Accept", "")
    by_script = (
        headers.get("X-Requested-With") == "XMLHttpRequest"
        or headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
        or ("json" in accepted and "html" not in accepted)
    )
    if by_script:
        return Kind.SCRIPT
    return Kind.PAGE if request.method == "GET" else Kind.FORM


def ask_to_log_in(request: HttpRequest) -> HttpResponse:
    """Return the answer to a request whose session has ended: a way to log in that leads back to the page."""
    match kind_of(request):
        case Kind.HTMX if request.method == "GET":
            here = page_of(request, request.headers.get("HX-Current-URL", ""))
            return HttpResponse(headers={"HX-Redirect": login_url(here)})
        case Kind.SCRIPT | Kind.HTMX:
            # The page stays, and with it what was typed there: htmx swaps nothing in.
            answer = {"login_url": reverse("oidc_authentication_init")}
            return JsonResponse(answer, status=401, headers={"HX-Reswap": "none"})
        case Kind.FORM:
            here = page_of(request, request.headers.get("Referer", ""))
            return render(request, "oidc/session_ended.html", {"login_url": login_url(here)}, status=401)
        case _:
            return HttpResponseRedirect(login_url(request.get_full_path()))


def login_url(next_url: str = "") -> str:
    """Return the URL that begins a login which goes on to `next_url`."""
    query = f"?{urlencode({conf.OIDC_REDIRECT_FIELD_NAME: next_url})}" if next_url else ""
    return reverse("oidc_authentication_init") + query


def safe_next_url(request: HttpRequest, url: str) -> str:
    """Return `url` if it stays on this site (RFC 9700 4.11), else ""."""
    hosts = {request.get_host(), urlsplit(conf.SITE_URL).netloc, *conf.OIDC_REDIRECT_ALLOWED_HOSTS}
    return url if url_has_allowed_host_and_scheme(url, hosts, require_https=request.is_secure()) else ""


def page_of(request: HttpRequest, url: str) -> str:
    """Return the path and query of a page of this site, "" for other pages."""
    if not safe_next_url(request, url):
        return ""
    return urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl()
