from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Field
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from accounts.models import Identity, User

RECENT = 20


class NewUserForm(forms.ModelForm):
    """A user who is made before the first login: by subject below, or by address where matching goes by it."""

    class Meta:
        model = User
        fields = ("username", "email")

    def save(self, commit: bool = True) -> User:
        self.instance.set_unusable_password()
        return super().save(commit)


class IdentityInline(admin.TabularInline):
    """Who the user is at the OP: can be added and unlinked, but not changed into somebody else."""

    model = Identity
    extra = 0
    fields = ("issuer", "subject", "created")
    readonly_fields = ("created",)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> forms.Field | None:
        if db_field.name == "issuer":
            kwargs["initial"] = settings.OIDC_OP_ISSUER
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(User)
class OIDCUserAdmin(UserAdmin):
    inlines = (IdentityInline,)
    add_form = NewUserForm
    add_fieldsets = ((None, {"fields": ("username", "email")}),)
    fieldsets = (*UserAdmin.fieldsets, (_("Sign-ins"), {"fields": ("recent_sign_ins",)}))
    readonly_fields = ("recent_sign_ins",)

    @admin.display(description=_("latest"))
    def recent_sign_ins(self, user: User) -> str:
        """Return the latest sign-ins and refusals, the newest first."""
        lines = (
            (
                record.at.isoformat(" ", "seconds"),
                record.refused or _("signed in"),
                _("by password") if record.by_password else "",
            )
            for record in user.sign_ins.order_by("-at")[:RECENT]
        )
        return format_html_join("", "<div>{} {} {}</div>", lines) or "-"
