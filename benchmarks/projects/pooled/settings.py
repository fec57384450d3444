"""The floor: what a login takes at least, written by hand in one view for the OP of the measurement and no other.

One client keeps its connections, the key is fetched once, the attempt lives in a signed cookie, and the user is kept
by subject as username. No OP that errs or hangs is thought of, nothing renews or ends a session from the OP's side.
"""

from plain.settings import *  # noqa: F403
