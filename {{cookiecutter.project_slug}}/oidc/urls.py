"""The URLs of a login under the names that mozilla-django-oidc documents."""

from django.urls import include, path

urlpatterns = [path("", include("mozilla_django_oidc.urls"))]
