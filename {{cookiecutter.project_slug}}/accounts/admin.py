from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from accounts.models import Identity, User


class IdentityInline(admin.TabularInline):
    """Who the user is at the OP: to be read, and unlinked, but never typed."""

    model = Identity
    extra = 0
    fields = readonly_fields = ["issuer", "subject", "created"]

    def has_add_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


@admin.register(User)
class OIDCUserAdmin(UserAdmin):
    inlines = [IdentityInline]
