"""How gunicorn serves this site. BIND and WEB_CONCURRENCY come from the environment of the process, not from .env.

https://docs.gunicorn.org/en/stable/settings.html
"""

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any

from gunicorn.glogging import Logger

METRICS = "PROMETHEUS_MULTIPROC_DIR"


class CleanLogger(Logger):
    """Writes JSON, without a code, token or secret: not even in the URL of a callback whose error page has failed."""

    def setup(self, cfg: Any) -> None:
        from oidc.logs import JSONFormatter, WithoutSecrets

        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.addFilter(WithoutSecrets())
            handler.setFormatter(JSONFormatter())

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        from oidc.logs import request_id

        if self.access_log_enabled:
            told = {
                "client": environ.get("REMOTE_ADDR", ""),
                "status": int(str(resp.status or 0).split()[0]),  # gunicorn's own errors have no `status_code`
                "bytes": resp.sent,
                "ms": round(1000 * request_time.total_seconds()),
            }
            # As it was sent, as it could hold line breaks else; and without the query, in which a callback has a code.
            self.access_log.info("%s %s", req.method, req.path, extra=told)
        request_id.set("")  # the last line of this request; the thread goes on with others


# Numbers for Prometheus on an address of their own that no proxy knows, such as "127.0.0.1:9464": see oidc/README.md.
metrics_bind = ""
bind = [os.environ.get("BIND") or "0.0.0.0:8000", *([metrics_bind] if metrics_bind else [])]
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
# Requests served at once; those that wait for the sign-in service are extra: see oidc/threads.py.
worker_class = "gthread"
threads = 16
# A process whose main thread is silent for that long is killed; requests to the sign-in service have their own limits.
timeout = 30
# How long a process that ends lets requests finish: longer than a login, shorter than what its supervisor grants.
graceful_timeout = 20
# Longer than proxies keep a connection without requests, so that it is they who close it.
keepalive = 75
# A new process gives back memory that a library leaks; the jitter keeps them from restarting together.
max_requests, max_requests_jitter = 10_000, 1_000
# A disk that is slow, or cannot be written to, must not look like a process that hangs.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True
# Django judges X-Forwarded-Proto, and sees it only from known proxies: see pre_request.
secure_scheme_headers: dict[str, str] = {}
# No header says at which path the site is, or which page is meant.
forwarder_headers = ""
accesslog = "-"
logger_class = CleanLogger


def pre_fork(server: Any, worker: Any) -> None:
    """Number the processes: each gets the lowest number that none of the others has."""
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = min(set(range(len(taken) + 1)) - taken)


def post_fork(server: object, worker: Any) -> None:
    """Let a worker read the code of the site itself, so that SIGHUP brings new code; Ctrl-C ends it as SIGTERM does."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "oidc" and not worker.cfg.preload_app]:
        del sys.modules[name]  # the logger of the main process has it
    worker.log.setup(worker.cfg)
    # gunicorn's own handler waits for a lock that the worker may hold itself.
    worker.handle_quit = worker.handle_exit


def post_worker_init(worker: Any) -> None:
    """Let pages have the threads of logins that wait for the sign-in service; serve numbers, if they are wanted."""
    from oidc.threads import Threads

    if hasattr(worker, "tpool"):
        worker.tpool = Threads(worker.cfg.threads)
    # What is loaded stays for good, and a request leaves little garbage: looking for it less often saves time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    if metrics_bind and METRICS in os.environ:
        from oidc import metrics

        worker.wsgi = metrics.beside(worker.wsgi, int(metrics_bind.rpartition(":")[2]), worker.number)


def on_exit(server: object) -> None:
    """Remove the numbers."""
    shutil.rmtree(os.environ.get(METRICS, ""), ignore_errors=True)


def pre_request(worker: Any, request: Any) -> None:
    """Drop what only a proxy in FORWARDED_ALLOW_IPS may say: where a request comes from, and its id."""
    from django.conf import settings

    if not isinstance(request.peer_addr, tuple):
        return  # a Unix socket, which only this machine reaches
    peer = ip_address(request.peer_addr[0])
    peer = getattr(peer, "ipv4_mapped", None) or peer
    if not any(peer in network for network in settings.FORWARDED_ALLOW_IPS):
        headers, of_proxies = request.headers, ("FORWARDED", "X-FORWARDED-", "X-REQUEST-ID")
        request.headers = [item for item in headers if not item[0].startswith(of_proxies)]


def on_starting(server: Any) -> None:
    """Refuse to start with a wrong environment or a failing check, in words, not a traceback; log what is advised."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.pop(METRICS, None)
    check = check_site()
    if check.returncode:
        sys.exit(check.stderr.strip())
    for advice in re.findall(r"\(oidc\.\w+\) .*", check.stderr):
        server.log.warning("%s", advice)
    if metrics_bind:
        if find_spec("prometheus_client") is None:
            sys.exit("metrics_bind in gunicorn.conf.py needs a package: uv add prometheus-client")
        os.environ[METRICS] = tempfile.mkdtemp(prefix="metrics-", dir=worker_tmp_dir)


def when_ready(server: Any) -> None:
    """Let SIGHUP change nothing while the site has a fault: processes that cannot start end the whole server."""
    reload = server.reload

    def reload_what_is_sound() -> None:
        if (check := check_site()).returncode:
            server.log.error("not reloaded, all goes on as it was: %s", check.stderr.strip())
        else:
            reload()

    server.reload = reload_what_is_sound


def check_site() -> subprocess.CompletedProcess[str]:
    """Run Django's system checks, in a process of its own: what this one imports, workers would not read again."""
    return subprocess.run([sys.executable, "manage.py", "check", "--deploy"], capture_output=True, text=True)
