"""All output of a production server, while logins fail in every way and so do the pages that would say so."""

import json
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest

from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, CLIENT, DISCOVERY, OP, Handler, dead, responds
from tests.sites.site import Running, Site, free_port

# Every page and every error page fails to render, so that exceptions reach the server itself.
SETTINGS = """
from config.settings import *

TEMPLATES[0]["DIRS"].insert(0, "{folder}")
LOGGING["root"]["level"] = "DEBUG"
"""
BASIC = b64encode(":".join(map(quote_plus, CLIENT)).encode()).decode()


def quoting(status: int, error: str) -> Callable[[Handler], None]:
    """Return a fault of the token endpoint that quotes all it was sent, as some OPs do to be helpful."""

    def respond(handler: Handler) -> None:
        asked = handler.server.op.requests[-1]
        text = f"wrong: {asked.headers.get('Authorization')} and {asked.form} and {handler.path}"
        responds({"error": error, "error_description": text}, status=status)(handler)

    return respond


WAYS = {
    "succeeds": {},
    "client refused": {"faults": {"/token": quoting(401, "invalid_client")}},
    "code refused": {"faults": {"/token": quoting(400, "invalid_grant")}},
    "unknown error": {"faults": {"/token": quoting(418, "teapot")}},
    "error page": {"faults": {"/token": responds(b"<html>" + BASIC.encode(), "text/html", 500)}},
    "no ID Token": {"token_response": {"id_token": ABSENT}},
    "damaged ID Token": {"token_response": {"id_token": "eyJhbGciOiJub25lIn0.damaged"}},
    "other issuer": {"claims": {"iss": "https://other.example"}},
    "other audience": {"claims": {"aud": "other"}},
    "other nonce": {"claims": {"nonce": "other"}},
    "expired": {"claims": {"exp": 1}},
    "unknown key": {"header": {"kid": "unknown"}},
    "userinfo of another": {"userinfo": {"sub": "other"}},
    # An endpoint that is down is left alone for a while, so these come last.
    "userinfo down": {"faults": {"/userinfo": dead}},
    "keys down": {"faults": {"/jwks": dead}, "header": {"kid": "unknown-too"}},
    "metadata down": {"faults": {DISCOVERY: dead}},
    "token endpoint down": {"faults": {"/token": dead}},
}


@contextmanager
def running(site: Site, folder, op: OP, url: str) -> Iterator[Running]:
    (folder / "failing.py").write_text(SETTINGS.format(folder=folder))
    for name in ("base.html", "error.html"):
        (folder / name).write_text("{% fails %}")
    environment = {
        "SITE_URL": url,
        "BIND": f"127.0.0.1:{urlsplit(url).port}",
        "WEB_CONCURRENCY": "1",
        "DEBUG": "false",
        "LOG_LEVEL": "DEBUG",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "OIDC_OP_ISSUER": op.issuer,
        "OIDC_RP_CLIENT_ID": op.client[0],
        "OIDC_RP_CLIENT_SECRET": op.client[1],
        "OIDC_RENEWAL": "refresh_token",
        "PYTHONPATH": str(folder),
        "DJANGO_SETTINGS_MODULE": "failing",
    }
    site.run("uv", "run", "manage.py", "migrate", **environment)
    with site.running("uv", "run", "gunicorn", "config.wsgi", url=url, **environment) as server:
        yield server


@pytest.fixture(scope="module")
def output(tmp_path_factory, installed) -> Iterator[tuple[str, set[str]]]:
    """What the server has written, and what it must not have written."""
    url = f"http://localhost:{free_port()}"
    with OP(site_url=url) as op, running(installed(), tmp_path_factory.mktemp("secrets"), op, url) as server:
        secret = {CLIENT[1], quote_plus(CLIENT[1]), BASIC}
        for changes in WAYS.values():
            secret |= fail(Browser(op, url=url), changes)
        secret |= {text for _, text in op.grants}
        # Not by Ctrl-C: gunicorn's threaded worker then often hangs until its master kills it.
        server.end()
        yield server.log.read_text(), secret


def fail(browser: Browser, changes: dict) -> set[str]:
    """Log in by an OP with `changes`, then send the callback again and in part; return what must stay secret."""
    op, before = browser.op, {name: dict(getattr(browser.op, name)) for name in ("faults", "header")}
    url = browser.leave().headers["Location"]
    for name, value in changes.items():
        getattr(op, name).update(value)
    callback = op.grant(url)
    for parameters in (callback, callback, callback | {"state": "other"}, callback | {"iss": "https://other.example"}):
        browser.come_back(parameters)
    again = op.grant(browser.leave().headers.get("Location") or url)
    token = op.logout_token(nonce="n")
    browser.come_back(again | {"error": "access_denied", "error_description": f"code={again['code']} {token}"})
    browser.post("/oidc/backchannel-logout/", {"logout_token": token})
    for name in changes:
        getattr(op, name).clear()
    op.faults, op.header = before["faults"], before["header"]
    sent = dict(parse_qsl(urlsplit(url).query))
    return {callback["code"], callback["state"], again["code"], again["state"], token, sent["nonce"]} | {
        asked.form[name] for asked in op.asked("/token") for name in ("code", "code_verifier") if name in asked.form
    }


def test_the_server_itself_reports_the_pages_that_fail(output: tuple[str, set[str]]) -> None:
    """Without that the search below would prove nothing."""
    assert output[0].count("Error handling request GET /oidc/callback/?code=[...]&state=[...]") > len(WAYS)
    for code in ("op_unreachable", "client_refused", "code_refused", "id_token_issuer", "attempt_unknown"):
        assert f"reason={code}" in output[0]


def test_every_line_is_an_object_with_what_operators_search_for(output: tuple[str, set[str]]) -> None:
    assert [line for line in output[0].splitlines() if not line.startswith('{"time": ')] == []
    lines = [json.loads(line) for line in output[0].splitlines()]
    refused = [line for line in lines if line.get("reason")]
    assert {"client_refused", "id_token_issuer", "op_unreachable"} <= {line["reason"] for line in refused}
    assert all(line["request_id"] for line in refused)
    (crash, *_) = [line for line in lines if line["message"].startswith("Error handling request")]
    assert "TemplateSyntaxError" in crash["exception"]
    # The access log has the line of the same request.
    assert [line for line in lines if line["logger"] == "gunicorn.access" and line["request_id"] == crash["request_id"]]


def test_no_output_has_a_code_a_state_a_token_or_the_secret(output: tuple[str, set[str]]) -> None:
    text, secret = output
    assert len(secret) > 5 * len(WAYS)
    assert not [value for value in secret if value in text]
