"""What has to be known of people and their logins: who they are at the OP, their sessions, and what happened."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

USER = settings.AUTH_USER_MODEL


class Identity(models.Model):
    """Who a user is at an OP: issuer and subject, the only claims that identify a person (Core 5.7)."""

    user = models.ForeignKey(USER, models.CASCADE, related_name="identities", verbose_name=_("user"))
    issuer = models.CharField(_("issuer"), max_length=500)
    subject = models.CharField(_("subject"), max_length=255)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = (models.UniqueConstraint(fields=["subject", "issuer"], name="oidc_one_user_per_subject"),)

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class LoginSession(models.Model):
    """A session that a login has begun; the OP can end it by `sid` or by `subject` (Back-Channel Logout 1.0)."""

    session_key = models.CharField(max_length=40, unique=True)
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    sid = models.CharField(max_length=255, blank=True)
    began = models.DateTimeField(auto_now_add=True, db_index=True)
    # Encrypted; in a row and not in the session, because two requests that save a session undo each other.
    refresh_token = models.TextField(blank=True, editable=False)
    # No request asks the OP to renew the session before then: another one is at it, or the OP was down.
    paused_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = (
            models.Index(fields=["subject", "issuer"], name="oidc_session_subject"),
            models.Index(fields=["sid"], name="oidc_session_sid"),
        )

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class SignIn(models.Model):
    """A login of a user, or one that was refused: then `refused` has the code of the reason."""

    user = models.ForeignKey(USER, models.CASCADE, related_name="sign_ins", null=True, verbose_name=_("user"))
    at = models.DateTimeField(_("at"), auto_now_add=True, db_index=True)
    by_password = models.BooleanField(_("by password"), default=False)
    # A digest of the name that was typed with a password, as there may be no such user.
    name_digest = models.CharField(max_length=64, blank=True, db_index=True, editable=False)
    refused = models.CharField(_("refused"), max_length=50, blank=True)

    class Meta:
        verbose_name = _("login")
        verbose_name_plural = _("logins")

    def __str__(self) -> str:
        return f"{self.user} {self.at:%Y-%m-%d %H:%M} {self.refused or 'logged in'}"


class SpentToken(models.Model):
    """A logout token that was obeyed and cannot be sent again, in any process of the site."""

    digest = models.CharField(max_length=64, primary_key=True)
    # Whom it named and when it came: a login that was being finished at that time must not outlive it.
    subject = models.CharField(max_length=255, blank=True)
    sid = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    expires = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest
