"""The ways into the admin and out of it, to be included before the admin's own: `path("admin/", include(...))`."""

from django.urls import path

from oidc.break_glass import break_glass
from oidc.logout import LogoutView
from oidc.views import admin_login

urlpatterns = [
    path("login/", admin_login, name="oidc_admin_login"),
    path("logout/", LogoutView.as_view(), name="oidc_admin_logout"),
    path("password/", break_glass, name="oidc_break_glass"),
]
