from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from oidc.break_glass import break_glass
from oidc.decorators import api_login_required, fresh_login
from oidc.logout import LogoutView
from oidc.views import admin_login


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"user {request.user.pk}")


urlpatterns = [
    path("", page),
    path("page/", login_required(page)),
    path("api/", api_login_required(page)),
    path("recent/", fresh_login(max_age=300)(page)),
    path("strong/", fresh_login(acr=("gold", "platinum"))(page)),
    path("oidc/", include("oidc.urls")),
    path("admin/login/", admin_login),
    path("admin/logout/", LogoutView.as_view()),
    path("admin/password/", break_glass),
    path("admin/", admin.site.urls),
]
