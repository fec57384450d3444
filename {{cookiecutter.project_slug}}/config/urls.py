"""The site's URLs.

https://docs.djangoproject.com/en/stable/topics/http/urls/
"""

from django.conf import settings
from django.contrib import admin
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path

admin.site.site_header = admin.site.site_title = settings.SITE_NAME

urlpatterns = [
    path("", include("pages.urls")),
    path("oidc/", include("oidc.urls")),
    # The admin's own pages to log in and out would leave out the sign-in service.
    path("admin/", include("oidc.admin_urls")),
    path("admin/", admin.site.urls),
    # Browsers ask for it by themselves on pages that name no icon, as the admin's.
    path("favicon.ico", lambda request: redirect(static("favicon.svg"))),
]

handler400 = "pages.errors.bad_request"
handler403 = "pages.errors.permission_denied"
handler404 = "pages.errors.page_not_found"
handler500 = "pages.errors.server_error"
