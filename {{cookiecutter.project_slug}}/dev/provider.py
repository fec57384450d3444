"""The embedded development OP. It takes any client and any secret: for comfort, never for the public."""

import json
import logging
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

USERS_FILE = Path(__file__).with_name("users.json")


def run(port: int = 0) -> AbstractContextManager[Any]:
    """Serve the development OP on localhost in a thread while the context lasts; port 0 takes a free one.

    Raises `ImportError` where the development dependencies are not installed.
    """
    from oidc_provider_mock import User, run_server_in_thread

    # Its OAuth library refuses plain http, which is what loopback speaks.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    users = json.loads(USERS_FILE.read_text(encoding="utf-8"))
    # It writes every request with its query, which holds state and nonce of the login.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    claims = [User(sub=user.pop("sub"), claims=user) for user in users]
    return run_server_in_thread(port, user_claims=claims)
