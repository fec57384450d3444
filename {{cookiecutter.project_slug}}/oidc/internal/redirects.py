"""Where a browser is sent: to log in, on to a page, or not at all, when it is 401 that the client understands.

Every URL that a redirect leads to is made or checked here (RFC 9700 4.11).
"""

from enum import Enum
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from oidc.internal.conf import conf

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}


class Kind(Enum):
    """Who waits for the response."""

    PAGE = "a person who goes to a page"
    FORM = "a person who sends a form"
    HTMX = "htmx, which follows HX-Redirect"
    SCRIPT = "a script, which cannot use a redirect to another host"
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
    is_fetch = headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
    if (
        is_fetch
        or headers.get("X-Requested-With") == "XMLHttpRequest"
        or ("json" in accepted and "html" not in accepted)
    ):
        return Kind.SCRIPT
    return Kind.PAGE if request.method == "GET" else Kind.FORM


def ask_to_log_in(request: HttpRequest) -> HttpResponse:
    """Return a way to log in that leads back to the page, as the client understands it: a redirect or 401."""
    match kind_of(request):
        case Kind.HTMX if request.method == "GET":
            here = page_of(request, request.headers.get("HX-Current-URL", ""))
            return HttpResponse(headers={"HX-Redirect": login_url(here)})
        case Kind.SCRIPT | Kind.HTMX:
            return unauthorized()
        case Kind.FORM:
            here = page_of(request, request.headers.get("Referer", ""))
            return render(request, "oidc/session_ended.html", {"login_url": login_url(here)}, status=401)
        case _:
            return HttpResponseRedirect(login_url(this_page(request)))


def unauthorized() -> HttpResponse:
    """Return 401 with the login URL as JSON. htmx swaps nothing in, so the page stays, and with it what was typed."""
    body = {"login_url": reverse("oidc_authentication_init")}
    return JsonResponse(body, status=401, headers={"HX-Reswap": "none"})


def login_url(next_url: str = "", prompt: str = "") -> str:
    """Return the URL that begins a login which goes on to `next_url`; `prompt` is for the OP."""
    parameters = {"prompt": prompt, conf.OIDC_REDIRECT_FIELD_NAME: next_url}
    query = urlencode({name: value for name, value in parameters.items() if value})
    return reverse("oidc_authentication_init") + (query and f"?{query}")


def callback_url() -> str:
    """Return the redirect URI: the same in both legs, from SITE_URL, whatever Host header a request has."""
    return conf.SITE_URL + reverse(conf.OIDC_AUTHENTICATION_CALLBACK_URL)


def home_url() -> str:
    """Return where a login goes that came from no page in particular."""
    return resolve_url(conf.LOGIN_REDIRECT_URL)


def safe_url(request: HttpRequest, url: str) -> str:
    """Return `url` if it stays on this site, else ""."""
    hosts = {request.get_host(), urlsplit(conf.SITE_URL).netloc, *conf.OIDC_REDIRECT_ALLOWED_HOSTS}
    if not url_has_allowed_host_and_scheme(url, hosts, require_https=request.is_secure()):
        return ""
    # Django takes // for a path, browsers for the start of a host.
    as_read = url.strip().replace("\\", "/")
    return url if urlsplit(as_read).netloc or not as_read.startswith("//") else ""


def this_page(request: HttpRequest) -> str:
    """Return the path and query of the request, "" if as a URL they would lead elsewhere, as //host/ does."""
    return safe_url(request, request.get_full_path())


def page_of(request: HttpRequest, url: str) -> str:
    """Return the path and query of a page of this site, "" for other pages."""
    if not safe_url(request, url):
        return ""
    return safe_url(request, urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl())


def canonical_url(request: HttpRequest) -> str:
    """Return where on SITE_URL a login must begin, "" if it does there.

    The OP sends the browser back to SITE_URL, and a cookie of 127.0.0.1 is not sent to localhost. Other
    hosts are left alone: behind a proxy that rewrites the Host header the redirect would go in circles.
    """
    site = urlsplit(conf.SITE_URL)
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    host, _, port = request.get_host().rpartition(":")
    if host in loopback and host != site.hostname and site.hostname in loopback and port == str(site.port or 80):
        return conf.SITE_URL + request.get_full_path()
    return ""


def with_query(url: str, parameters: dict[str, str]) -> str:
    """Return an endpoint of the OP with `parameters` added to the query that it may have; they win over it."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | parameters
    return parts._replace(query=urlencode(query)).geturl()
