"""What operators see of a site under gunicorn with two processes: lines, request ids, probes, numbers and traces."""

import json
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from oidc.testing.browser import Browser
from oidc.testing.op import CLIENT, OP, dead
from tests.rendering import SITE
from tests.sites.site import Running, Site, free_port

OF_PROXY = "0f8fad5b-d9cb-469f-a165-70867728950e"
DASHBOARD = json.loads((SITE / "deploy" / "grafana.json").read_text())
MANUAL = (SITE / "oidc" / "README.md").read_text()
RECIPE = re.search(r"\*\*OpenTelemetry.*?```python\n(.*?)```", MANUAL, re.DOTALL)[1]
TRACING = [
    f"opentelemetry-{name}" for name in ("sdk", *(f"instrumentation-{n}" for n in ("django", "urllib3", "psycopg")))
]
EXPORTER = """
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

def OTLPSpanExporter():
    return ConsoleSpanExporter(out=open({!r}, "a"), formatter=lambda span: span.to_json(None) + "\\n")
"""


@dataclass(frozen=True)
class Served:
    url: str
    metrics: str
    op: OP
    server: Running

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.server.log.read_text().splitlines()]

    def numbers(self) -> dict[str, float]:
        """Return the sum of each number over all labels but `outcome` and `reason`."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(requests.get(self.metrics, timeout=10).text):
            for sample in family.samples:
                labels = [sample.labels[name] for name in ("outcome", "reason", "by") if sample.labels.get(name)]
                name = " ".join([sample.name, *labels])
                found[name] = found.get(name, 0) + sample.value
        return found


@contextmanager
def serving(site: Site, folder: Path, packages: list[str], *edits: tuple[str, str], **more: str) -> Iterator[Served]:
    """Serve a site whose team has added `packages`, and has edited gunicorn.conf.py."""
    configuration = (site.folder / "gunicorn.conf.py").read_text()
    port, metrics = free_port(), free_port()
    for old, new in edits:
        assert configuration.count(old) == 1
        configuration = configuration.replace(old, new.replace("METRICS", f"127.0.0.1:{metrics}"))
    (folder / "gunicorn.conf.py").write_text(configuration)
    url = f"http://localhost:{port}"
    with OP(site_url=url) as op:
        environment = {
            "DEBUG": "false",
            "SITE_URL": url,
            "BIND": f"127.0.0.1:{port}",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "FORWARDED_ALLOW_IPS": "127.0.0.0/8",
            "OIDC_OP_ISSUER": op.issuer,
            "OIDC_RP_CLIENT_ID": op.client[0],
            "OIDC_RP_CLIENT_SECRET": op.client[1],
            **more,
        }
        for command in (["migrate"], ["collectstatic", "--no-input"]):
            site.run("uv", "run", "manage.py", *command, **environment)
        added = [word for package in packages for word in ("--with", package)]
        gunicorn = [
            "gunicorn",
            "--config",
            str(folder / "gunicorn.conf.py"),
            "--chdir",
            str(site.folder),
            "config.wsgi",
        ]
        command = ["uv", "run", "--quiet", *added, "python", "-m", *gunicorn]
        with site.running(*command, url=url, **environment) as server:
            yield Served(url, f"http://127.0.0.1:{metrics}/", op, server)


@pytest.fixture(scope="module")
def served(installed: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A site whose team has asked for numbers."""
    on = ('metrics_bind = ""', 'metrics_bind = "METRICS"')
    with serving(installed(), tmp_path_factory.mktemp("observed"), ["prometheus-client"], on) as served:
        yield served


def test_the_id_of_the_proxy_is_in_each_line_of_a_request_and_in_the_response(served: Served) -> None:
    browser = Browser(served.op, url=served.url)
    served.op.claims["aud"] = "another"
    callback = served.op.grant(browser.leave().headers["Location"])
    page = browser.request("get", "/oidc/callback/", callback, headers={"X-Request-ID": OF_PROXY})
    served.op.claims.clear()
    assert page.headers["X-Request-ID"] == OF_PROXY
    lines = [line for line in served.lines() if line.get("request_id") == OF_PROXY]
    assert [line["logger"] for line in lines] == ["oidc.views", "gunicorn.access"]
    assert lines[0]["reason"] == "id_token_audience"
    assert f"<code>{lines[0]['reference']}</code>" in page.text
    # Without the query, which has the code.
    assert {name: lines[-1][name] for name in ("message", "client", "status")} == {
        "message": "GET /oidc/callback/",
        "client": "127.0.0.1",
        "status": 403,
    }
    assert lines[-1]["bytes"] > 0
    assert 0 <= lines[-1]["ms"] < 60_000


def test_a_request_that_gunicorn_itself_refuses_has_a_response_and_a_line(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(served.url).port), timeout=10) as connection:
        connection.sendall(b"GET /broken HTTP/1.1\r\nHost: localhost\r\nContent-Length: abc\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")
    [line] = [line for line in served.lines() if line["message"] == "GET /broken"]
    assert (line["logger"], line["status"]) == ("gunicorn.access", 400)


def test_lines_that_belong_to_no_request_have_no_id(served: Served) -> None:
    requests.get(f"{served.url}/healthz", timeout=10)
    requests.get(served.metrics, timeout=10)
    lines = served.lines()
    assert {"request_id" in line for line in lines if line["logger"] == "gunicorn.error"} == {False}
    assert [line for line in lines if line["logger"] == "gunicorn.access" and "request_id" not in line]


def test_numbers_are_those_of_all_processes_and_the_dashboard_shows_no_others(served: Served) -> None:
    before, probed = served.numbers(), served.op
    for _ in range(8):
        browser = Browser(probed, url=served.url)
        browser.log_in()
        browser.log_out()
    probed.end_sessions("person-1")
    numbers = served.numbers()
    key = "oidc_logins_total succeeded"
    assert numbers[key] - before.get(key, 0) == 8
    assert numbers["oidc_sessions_ended_total site"] == 8
    served.op.faults["/token"] = dead
    try:
        Browser(probed, url=served.url).log_in()
        assert served.numbers()["oidc_logins_total refused op_unreachable"] == 1
        # Only the process that has asked knows; which one a probe meets is chance.
        seen = {requests.get(f"{served.url}/readyz", timeout=10).text for _ in range(40)}
        assert "ok\nsign-in service: not responding\n" in seen
        assert requests.get(f"{served.url}/readyz", timeout=10).status_code == 200
    finally:
        served.op.faults.clear()
    exported = {name.partition(" ")[0] for name in served.numbers()}
    shown = set(re.findall(r"\boidc_[a-z_]+", json.dumps(DASHBOARD["panels"])))
    assert len(shown) == 6
    # Nobody's session was renewed yet; that number has labels, and so appears with the first.
    assert shown - exported == {"oidc_renewals_total"}


def test_numbers_are_at_their_own_port_alone(served: Served) -> None:
    port = served.metrics.split(":")[-1].rstrip("/")
    assert requests.get(f"{served.url}/metrics", headers={"Host": f"localhost:{port}"}, timeout=10).status_code != 200
    assert "oidc_" not in requests.get(f"{served.url}/metrics", timeout=10).text
    assert "oidc_logins" in requests.get(served.metrics, timeout=10).text


def test_without_its_package_gunicorn_says_what_to_add(installed: Callable[..., Site], tmp_path: Path) -> None:
    on = ('metrics_bind = ""', 'metrics_bind = "METRICS"')
    server = serving(installed(), tmp_path, [], on)
    with (
        pytest.raises(AssertionError, match=r"metrics_bind .* needs a package: uv add prometheus-client") as error,
        server,
    ):
        pass
    assert "Traceback" not in str(error.value)


def test_traces_join_the_callback_and_what_the_op_was_asked_and_tell_no_secret(
    installed: Callable[..., Site], tmp_path: Path
) -> None:
    """The recipe of the manual, but for the exporter."""
    place = "    worker.handle_quit = worker.handle_exit\n"
    recipe = re.sub(r"from \S+ import OTLPSpanExporter", "from spans import OTLPSpanExporter", RECIPE)
    spans = tmp_path / "spans.json"
    (tmp_path / "spans.py").write_text(EXPORTER.format(str(spans)))
    more = {"PYTHONPATH": str(tmp_path), "OTEL_BSP_SCHEDULE_DELAY": "100", "WEB_CONCURRENCY": "1"}
    with serving(installed(), tmp_path, TRACING, (place, place + recipe), **more) as served:
        browser = Browser(served.op, url=served.url)
        parameters = served.op.grant(browser.leave().headers["Location"])
        assert browser.come_back(parameters).status_code == 302
        browser.come_back(parameters | {"error": "access_denied", "code": "another-code-of-the-op"})
        for _ in range(100):
            time.sleep(0.1)
            text = spans.read_text()
            if text.count("/token") and text.count("/userinfo") and text.count("oidc/callback") > 2:
                break
        else:
            raise AssertionError(f"spans are missing: {text}\n{served.server.log.read_text()}")
    found = [json.loads(line) for line in text.splitlines()]
    (callback, *_) = [span for span in found if "callback" in span["name"]]
    inner = [span for span in found if span["parent_id"] == callback["context"]["span_id"]]
    asked = {json.dumps(span["attributes"]) for span in inner}
    assert any(f"{served.op.issuer}/token" in text for text in asked), found
    assert any(f"{served.op.issuer}/userinfo" in text for text in asked)
    (exchange,) = served.op.asked("/token")
    secret = {*(text for _, text in served.op.grants), CLIENT[1], parameters["state"], "another-code-of-the-op"}
    secret |= {exchange.form["code"], exchange.form["code_verifier"]}
    assert len(secret) >= 6
    assert not [value for value in secret if value in text]
    # The addresses are there, without what is secret in them.
    assert "code=[...]" in text
