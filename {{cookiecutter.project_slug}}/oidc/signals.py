"""Signals of this package. A login that succeeds sends Django's own `user_logged_in`."""

from django.dispatch import Signal

# Sent with request, reason (oidc.errors.Reason) and reference (str) when a login was refused.
login_refused = Signal()
