from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("", lambda request: HttpResponse("home")),
    path("oidc/", include("mozilla_django_oidc.urls")),
]
