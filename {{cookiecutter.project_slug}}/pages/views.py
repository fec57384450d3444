"""The example pages: replace them at will."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache

from oidc import doctor


@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Say who is logged in."""
    return render(request, "home.html", {"developer": for_developers()} if settings.DEBUG else None)


@never_cache
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Show what the site knows about the person who is logged in."""
    user = request.user
    known = {"groups": user.groups.order_by("name"), "identities": user.identities.order_by("issuer", "subject")}
    return render(request, "profile.html", {**known, "logins_url": settings.DEBUG and reverse("oidc_logins")})


def for_developers() -> dict[str, Any]:
    """Return what the start page shows while DEBUG is on. Remove it together with `templates/developer.html`."""
    lines = doctor.without_network()
    return {
        "issuer": settings.OIDC_OP_ISSUER,
        "is_on_this_machine": urlsplit(settings.OIDC_OP_ISSUER).hostname in ("localhost", "127.0.0.1"),
        "urls": list(doctor.urls_to_register().items()),
        "passed": sum(line.level == "pass" for line in lines),
        "problems": [line for line in lines if line.level != "pass"],
        "logins_url": reverse("oidc_logins"),
    }
