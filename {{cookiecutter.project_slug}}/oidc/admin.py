"""What the admin shows of people and their logins; the inlines are for a site's own `UserAdmin`."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from oidc.internal.conf import conf
from oidc.models import Identity, SignIn


class IdentityInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic when it runs
    """Who the user is at the OP: can be added and unlinked, but not changed into somebody else."""

    model = Identity
    extra = 0
    fields = ("issuer", "subject", "created")
    readonly_fields = ("created",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        if db_field.name == "issuer":
            kwargs["initial"] = conf.OIDC_OP_ISSUER
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(SignIn)
class SignInAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The record of logins and refusals, for reading."""

    list_display = ("at", "user", "refused", "by_password")
    list_filter = ("refused", "by_password")
    list_select_related = ("user",)
    date_hierarchy = "at"
    # Counting a long record costs more than showing a page of it.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: SignIn | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SignIn | None = None) -> bool:
        return False


class SignInInline(admin.TabularInline):  # type: ignore[type-arg]
    """The latest logins and refusals of a user, the newest first."""

    model = SignIn
    extra = 0
    fields = readonly_fields = ("at", "refused", "by_password")
    ordering = ("-at",)
    max_num = 0
    can_delete = False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
