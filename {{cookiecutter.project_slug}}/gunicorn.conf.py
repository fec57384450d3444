"""How gunicorn serves this site. BIND and WEB_CONCURRENCY come from the environment of the process, not from .env.

https://docs.gunicorn.org/en/stable/settings.html
"""

import os
import sys
from typing import Any

from gunicorn.glogging import Logger


class CleanLogger(Logger):
    """Writes no code, token or secret: not even the URL of a callback when the error page itself has failed."""

    def setup(self, cfg: Any) -> None:
        from oidc.logs import WithoutSecrets

        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.addFilter(WithoutSecrets())

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> dict[str, Any]:
        # As it was sent; decoded it could hold line breaks, and with them lines of its own.
        return super().atoms(resp, req, environ, request_time) | {"U": req.path}


bind = os.environ.get("BIND") or "0.0.0.0:8000"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
# A login waits for the sign-in service; in the meantime the other threads serve pages.
worker_class = "gthread"
threads = 16
timeout = 30
graceful_timeout = 10
max_requests, max_requests_jitter = 10_000, 1_000
accesslog = "-"
logger_class = CleanLogger
# The callback's query holds an authorization code, so the path is logged without it.
access_log_format = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(b)s %(M)sms'


def on_starting(server: object) -> None:
    """Refuse to start with a wrong environment or a failing system check, in words instead of a traceback."""
    import django
    from django.core import checks
    from django.core.exceptions import ImproperlyConfigured

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    if errors := [message for message in checks.run_checks() if message.is_serious()]:
        sys.exit("\n".join(map(str, errors)))
