"""The URLs of logins and logouts; those of mozilla-django-oidc keep the names that it documents."""

from django.urls import include, path

from oidc import logout, op_logout, views

urlpatterns = [
    path("", include("mozilla_django_oidc.urls")),
    path("initiate/", views.InitiateView.as_view(), name="oidc_initiate"),
    path("logged-out/", logout.logged_out, name="oidc_logged_out"),
    path("backchannel-logout/", op_logout.backchannel_logout, name="oidc_backchannel_logout"),
    path("frontchannel-logout/", op_logout.frontchannel_logout, name="oidc_frontchannel_logout"),
]
