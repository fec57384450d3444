from django.urls import include, path
from plain.urls import urlpatterns as of_plain

urlpatterns = [*of_plain, path("oidc/", include("mozilla_django_oidc.urls"))]
