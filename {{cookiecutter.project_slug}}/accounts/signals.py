"""Signals of the user policy, sent when its changes are committed; each has the `user`.

Logins and logouts send Django's own `user_logged_in` and `user_logged_out`, refusals `oidc.signals.login_refused`.
"""

from django.dispatch import Signal

# A first login has made a user.
user_created = Signal()
# A first login was bound to a user who was there: also `issuer` and `subject`.
identity_linked = Signal()
# A user was shut out by `manage.py deactivate_user`: also `sessions`, how many ended.
user_deactivated = Signal()
# The OP's groups gave or took rights: also `gained` and `lost`, lists of names.
rights_changed = Signal()
