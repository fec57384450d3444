from allauth.socialaccount.providers.openid_connect import views
from django.urls import include, path
from plain.urls import urlpatterns as of_plain

OP = {"provider_id": "op"}
urlpatterns = [
    *of_plain,
    path("accounts/", include("allauth.urls")),
    # The last of a name is the one that is reversed: all projects have the same redirect URI.
    path("oidc/authenticate/", views.login, OP, name="openid_connect_login"),
    path("oidc/callback/", views.callback, OP, name="openid_connect_callback"),
]
