"""How gunicorn serves this site. BIND and WEB_CONCURRENCY come from the environment of the process, not from .env.

https://docs.gunicorn.org/en/stable/settings.html
"""

import os
import sys
from ipaddress import ip_address
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
# A process whose main thread is silent for so long is killed; requests to the sign-in service have limits of their own.
timeout = 30
# How long a process that ends lets requests finish: longer than a login, shorter than what its supervisor grants.
graceful_timeout = 20
# Longer than proxies keep a connection without requests, so that it is they who close it.
keepalive = 75
# Memory that a library loses comes back; the jitter keeps the processes from restarting together.
max_requests, max_requests_jitter = 10_000, 1_000
# A disk that is slow, or cannot be written to, must not look like a process that hangs.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True
# Django judges X-Forwarded-Proto, and sees it only from known proxies: see pre_request.
secure_scheme_headers: dict[str, str] = {}
accesslog = "-"
logger_class = CleanLogger
# The callback's query holds an authorization code, so the path is logged without it.
access_log_format = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(b)s %(M)sms'


def post_fork(server: object, worker: Any) -> None:
    """End a worker at Ctrl-C as at SIGTERM: gunicorn's own handler waits for a lock that the worker may hold."""
    worker.handle_quit = worker.handle_exit


def pre_request(worker: Any, request: Any) -> None:
    """Drop what anybody but a proxy in FORWARDED_ALLOW_IPS says about where a request comes from."""
    from django.conf import settings

    if not isinstance(request.peer_addr, tuple):
        return  # a Unix socket, which only this machine reaches
    peer = ip_address(request.peer_addr[0])
    peer = getattr(peer, "ipv4_mapped", None) or peer
    if not any(peer in network for network in settings.FORWARDED_ALLOW_IPS):
        headers = request.headers
        request.headers = [item for item in headers if not item[0].startswith(("FORWARDED", "X-FORWARDED-"))]


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
