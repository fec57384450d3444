from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from oidc.decorators import api_login_required, fresh_login


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"user {request.user.pk}")


urlpatterns = [
    path("", page),
    path("page/", login_required(page)),
    path("api/", api_login_required(page)),
    path("recent/", fresh_login(max_age=300)(page)),
    path("strong/", fresh_login(acr=("gold", "platinum"))(page)),
    path("oidc/", include("oidc.urls")),
    path("admin/", include("oidc.admin_urls")),
    path("admin/", admin.site.urls),
]
