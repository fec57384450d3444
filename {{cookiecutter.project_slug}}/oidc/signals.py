"""Signals of the relying party; receivers get the arguments by keyword.

A login that succeeds sends Django's own `user_logged_in`, a logout here `user_logged_out`. Those about users are sent
when their changes are committed. Those about the OP say what this process has seen.
"""

from django.dispatch import Signal

# A login was refused: `request`, `reason` (oidc.errors.Reason), `reference` (str), and `user` where it is known.
login_refused = Signal()
# The OP has ended sessions: `subject` and `sid` (either may be empty), and `sessions`, how many there were.
logged_out_by_op = Signal()
# A first login has made a `user`.
user_created = Signal()
# A login was bound to a `user`: also `issuer` and `subject`.
identity_linked = Signal()
# The OP's groups gave or took rights of a `user`: also `gained` and `lost`, lists of names.
rights_changed = Signal()
# A `user` was shut out by `manage.py deactivate_user`: also `sessions`, how many ended.
user_deactivated = Signal()
# A session was renewed: `request` and `user`.
login_renewed = Signal()
# A renewal failed, whether the session goes on or not: `request`, `user` and `reason`.
renewal_failed = Signal()
# The OP was asked: `endpoint` (its URL), `seconds`, and `outcome`, "responded" or the code of a reason.
op_asked = Signal()
# An endpoint of the OP responds no more, or again: `endpoint` and `is_up`.
op_changed = Signal()
# The key set of the OP was fetched: `endpoint`, and `keys`, how many there are.
keys_fetched = Signal()
