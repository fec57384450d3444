"""The site's URLs.

https://docs.djangoproject.com/en/stable/topics/http/urls/
"""

from django.contrib import admin
from django.urls import include, path

from accounts.views import admin_login, break_glass

urlpatterns = [
    path("", include("pages.urls")),
    path("oidc/", include("oidc.urls")),
    path("admin/login/", admin_login),
    path("admin/password/", break_glass),
    path("admin/", admin.site.urls),
]

handler400 = "pages.errors.bad_request"
handler403 = "pages.errors.permission_denied"
handler404 = "pages.errors.page_not_found"
handler500 = "pages.errors.server_error"
