"""Signals of this package. A login that succeeds sends Django's own `user_logged_in`,
a logout here `user_logged_out`."""

from django.dispatch import Signal

# Sent when a login was refused: request, reason (oidc.errors.Reason), reference (str), and user where it is known.
login_refused = Signal()

# Sent when the OP has ended sessions: subject and sid (either may be empty) and sessions, how many there were.
logged_out_by_op = Signal()
