"""The example pages: replace them at will."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache


@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Say who is logged in."""
    return render(request, "home.html")


@never_cache
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """Show what the site knows about the person who is logged in."""
    user = request.user
    return render(
        request,
        "profile.html",
        {"groups": user.groups.order_by("name"), "identities": user.identities.order_by("issuer", "subject")},
    )
