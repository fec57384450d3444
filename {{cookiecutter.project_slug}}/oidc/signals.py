"""Signals of this package. A login that succeeds sends Django's own `user_logged_in`."""

from django.dispatch import Signal

# Sent when a login was refused: request, reason (oidc.errors.Reason), reference (str), and user where it is known.
login_refused = Signal()
