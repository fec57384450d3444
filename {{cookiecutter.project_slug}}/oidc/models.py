"""What has to be known of a login after it: whose session it is, and how to renew it."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class LoginSession(models.Model):
    """A session that a login has begun; the OP can end it by `sid` or by `subject` (Back-Channel Logout 1.0)."""

    session_key = models.CharField(_("session key"), max_length=40, unique=True)
    issuer = models.CharField(_("issuer"), max_length=500)
    subject = models.CharField(_("subject"), max_length=255)
    sid = models.CharField(_("session at the OP"), max_length=255, blank=True)
    began = models.DateTimeField(_("began"), auto_now_add=True, db_index=True)
    # Encrypted; in a row and not in the session, because two requests that save a session undo each other.
    refresh_token = models.TextField(_("refresh token"), blank=True, editable=False)
    refreshing_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("login session")
        verbose_name_plural = _("login sessions")
        indexes = (
            models.Index(fields=["subject", "issuer"], name="oidc_session_subject"),
            models.Index(fields=["sid"], name="oidc_session_sid"),
        )

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class SpentToken(models.Model):
    """A logout token that was obeyed and cannot be sent again, in any process of the site."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest
