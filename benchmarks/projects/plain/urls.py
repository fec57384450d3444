from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path


def home(request: HttpRequest) -> HttpResponse:
    """Say who is logged in; every project has this page."""
    has_forms = "django.middleware.csrf.CsrfViewMiddleware" in settings.MIDDLEWARE
    return render(request, "home.html", {"has_forms": has_forms})


def log_in(request: HttpRequest) -> HttpResponse:
    """Log somebody in without a question."""
    user, _ = get_user_model().objects.get_or_create(username="person", email="person@example.org")
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    return HttpResponse("in")


urlpatterns = [
    path("", home, name="home"),
    path("log-in/", log_in, name="log_in"),
]
