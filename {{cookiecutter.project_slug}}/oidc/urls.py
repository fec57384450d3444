"""The URLs of logins and logouts; those of mozilla-django-oidc keep the names that it documents."""

from django.urls import path
from django.utils.module_loading import import_string

from oidc import logout, views
from oidc.internal.conf import conf

authenticate, callback = map(import_string, (conf.OIDC_AUTHENTICATE_CLASS, conf.OIDC_CALLBACK_CLASS))

urlpatterns = [
    path("authenticate/", authenticate.as_view(), name="oidc_authentication_init"),
    path("callback/", callback.as_view(), name="oidc_authentication_callback"),
    path("initiate/", views.initiate, name="oidc_initiate"),
    path("logout/", logout.LogoutView.as_view(), name="oidc_logout"),
    path("logged-out/", logout.logged_out, name="oidc_logged_out"),
    path("logins/", views.logins, name="oidc_logins"),
    path("backchannel-logout/", logout.backchannel_logout, name="oidc_backchannel_logout"),
    path("frontchannel-logout/", logout.frontchannel_logout, name="oidc_frontchannel_logout"),
]
