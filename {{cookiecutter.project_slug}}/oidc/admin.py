"""What the admin shows of people and their logins; the inlines are for a site's own `UserAdmin`."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

from oidc.internal.conf import conf
from oidc.models import Identity, SignIn

MAX_COUNTED = 10_000


class CountedUpTo(Paginator):  # type: ignore[type-arg]
    """Counts `MAX_COUNTED` rows at most: to count a million takes longer than to show a page of them."""

    @cached_property
    def count(self) -> int:
        return int(self.object_list.order_by()[:MAX_COUNTED].count())  # type: ignore[attr-defined]


class IdentityInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic when it runs
    """Who the user is at the OP: can be added and unlinked, but not changed into somebody else."""

    model = Identity
    extra = 0
    fields = ("issuer", "subject", "created")
    readonly_fields = ("created",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        initial = {"initial": conf.OIDC_OP_ISSUER} if db_field.name == "issuer" else {}
        return super().formfield_for_dbfield(db_field, request, **kwargs | initial)


class ReadOnly:
    """Lets people with the right to view look, and nobody change anything."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission


@admin.register(SignIn)
class SignInAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """The record of logins and refusals."""

    list_display = ("at", "user", "refused", "by_password")
    list_filter = (("refused", admin.EmptyFieldListFilter), "by_password", "at")
    list_select_related = ("user",)
    paginator, show_full_result_count = CountedUpTo, False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let a record go with its user, as Django asks here then too, but not by itself."""
        page = (request.resolver_match and request.resolver_match.url_name) or "oidc_signin"
        return not page.startswith("oidc_signin") and admin.ModelAdmin.has_delete_permission(self, request, obj)


class SignInInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The logins and refusals of a user, the newest first."""

    model = SignIn
    fields = readonly_fields = ("at", "refused", "by_password")
    ordering = ("-at",)
