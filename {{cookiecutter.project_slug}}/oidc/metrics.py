"""Numbers for Prometheus, counted from the signals of this package; README.md says how a site switches them on.

Each process of gunicorn keeps its numbers in files of the folder PROMETHEUS_MULTIPROC_DIR, so that whichever is asked
can tell those of all. Only a site that switches them on needs prometheus_client, and imports this module.
"""

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import Signal
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app, values
from prometheus_client.multiprocess import MultiProcessCollector

from oidc import signals

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


def beside(site: Application, port: int, process: int) -> Application:
    """Count in this process, and return an application with all numbers at a port of its own, the site at all others.

    `process` is a number that no other living process has; the next one that gets it goes on with the same files.
    """
    count(process)
    MultiProcessCollector(registry := CollectorRegistry())
    numbers: Application = make_wsgi_app(registry)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # This end of the connection: SERVER_PORT may be what the request says.
        name = environ["gunicorn.socket"].getsockname()
        if not isinstance(name, tuple) or name[1] != port:
            return site(environ, start_response)
        peer = ip_address(environ["REMOTE_ADDR"])
        if (getattr(peer, "ipv4_mapped", None) or peer).is_global:
            start_response("403 Forbidden", [("Content-Length", "0")])
            return []
        return numbers(environ, start_response)

    return application


def count(process: int) -> None:
    """Count from now on what signals tell, in files of this `process`; dashboards rely on names and labels."""
    values.ValueClass = values.MultiProcessValue(lambda: process)
    logins = Counter("oidc_logins", "Logins by how they ended and why.", ["outcome", "reason"], registry=None)
    renewals = Counter("oidc_renewals", "Renewals by how they ended and why.", ["outcome", "reason"], registry=None)
    keys = Counter("oidc_key_refreshes", "Times that the OP's key set was fetched.", registry=None)
    ended = Counter("oidc_sessions_ended", "Sessions that the site or the OP ended.", ["by"], registry=None)
    told = "Seconds that the OP was waited for."
    seconds = Histogram("oidc_op_seconds", told, ["endpoint", "outcome"], buckets=SECONDS, registry=None)
    told = "Whether an endpoint of the OP responds, as the process knows that has heard of it last."
    up = Gauge("oidc_op_up", told, ["endpoint"], multiprocess_mode="mostrecent", registry=None)

    def note(endpoint: str, outcome: str, **more: Any) -> None:
        seconds.labels(address := endpoint.partition("?")[0], outcome).observe(more["seconds"])
        if outcome == "responded":
            up.labels(address).set(1)

    receivers: list[tuple[Signal, Callable[..., object]]] = [
        (user_logged_in, lambda **_: logins.labels("succeeded", "").inc()),
        (signals.login_refused, lambda reason, **_: logins.labels("refused", reason.code).inc()),
        (signals.login_renewed, lambda **_: renewals.labels("renewed", "").inc()),
        (signals.renewal_failed, lambda reason, **_: renewals.labels("failed", reason.code).inc()),
        (signals.keys_fetched, lambda **_: keys.inc()),
        (user_logged_out, lambda user, **_: user and ended.labels("site").inc()),
        (signals.logged_out_by_op, lambda sessions, **_: ended.labels("op").inc(sessions)),
        (signals.op_asked, note),
        (signals.op_changed, lambda endpoint, is_up, **_: up.labels(endpoint.partition("?")[0]).set(is_up)),
    ]
    for signal, receiver in receivers:
        signal.connect(receiver, weak=False)
