"""The users of this site, who they are at the OP, and when they signed in."""

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A user of this site. Add fields here; the table is the site's own from the first migration on."""


class Identity(models.Model):
    """Who a user is at an OP: issuer and subject, the only claims that identify a person (Core 5.7)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities", verbose_name=_("user")
    )
    issuer = models.CharField(_("issuer"), max_length=500)
    subject = models.CharField(_("subject"), max_length=255)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = [models.UniqueConstraint(fields=["subject", "issuer"], name="one_user_per_subject")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class SignIn(models.Model):
    """A sign-in of a user, or one that was refused: then `refused` has the reason code."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins", null=True, verbose_name=_("user")
    )
    at = models.DateTimeField(_("at"), auto_now_add=True, db_index=True)
    by_password = models.BooleanField(_("by password"), default=False)
    # A digest of the name that was typed with a password, as there may be no such user.
    name_digest = models.CharField(max_length=64, blank=True, db_index=True, editable=False)
    refused = models.CharField(_("refused"), max_length=50, blank=True)

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")

    def __str__(self) -> str:
        return f"{self.user} {self.at:%Y-%m-%d %H:%M} {self.refused or 'signed in'}"
