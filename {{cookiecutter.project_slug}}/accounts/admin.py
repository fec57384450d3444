from django import forms
from django.contrib import admin
from django.contrib.auth import admin as auth_admin

from accounts.models import User
from oidc.admin import CountedUpTo, IdentityInline, SignInInline


class NewUserForm(forms.ModelForm):
    """A user who is made before the first login, and has no password. The identity below says who that will be."""

    class Meta:
        model = User
        fields = ("username", "email")

    def save(self, commit: bool = True) -> User:
        self.instance.set_unusable_password()
        user: User = super().save(commit)
        return user


@admin.register(User)
class UserAdmin(auth_admin.UserAdmin):
    add_form = NewUserForm
    add_fieldsets = ((None, {"fields": NewUserForm.Meta.fields}),)
    inlines = (IdentityInline, SignInInline)
    paginator, show_full_result_count = CountedUpTo, False
