"""The log: what opens something is cut out, whoever logs it; lines of JSON, and the id of a request in each."""

import json
import logging
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from oidc.logs import JSONFormatter, WithoutSecrets, request_id
from oidc.testing.browser import Browser
from oidc.testing.op import CLIENT, OP, PERSON

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwZXJzb24tMSJ9.c2lnbmF0dXJl_-"
Log = Callable[..., str]


@pytest.fixture
def log() -> Iterator[Log]:
    """A function that logs like `logging.Logger.warning` and returns what a handler with the filter has written."""
    logger, stream = logging.getLogger(__name__), StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(WithoutSecrets())
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False

    def write(*args: object, **options: object) -> str:
        logger.warning(*args, **options)
        return stream.getvalue()

    yield write
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("GET /oidc/callback/?code=SECRET&state=SECRET&iss=x", "GET /oidc/callback/?code=[...]&state=[...]&iss=x"),
        ("POST /token code_verifier=SECRET&nonce=SECRET", "POST /token code_verifier=[...]&nonce=[...]"),
        ("client_id=site&client_secret=SECRET%20%26", "client_id=site&client_secret=[...]"),
        ("/end-session?id_token_hint=SECRET&state=SECRET", "/end-session?id_token_hint=[...]&state=[...]"),
        ("{'access_token': 'SECRET', 'expires_in': 300}", "{'access_token': '[...]', 'expires_in': 300}"),
        ('{"refresh_token": "SECRET","id_token":"SECRET"}', '{"refresh_token": "[...]","id_token":"[...]"}'),
        ("logout_token = SECRET", "logout_token = [...]"),
        ("Authorization: Bearer SECRET", "Authorization: Bearer [...]"),
        ("{'Authorization': 'Basic U0VDUkVU='}", "{'Authorization': 'Basic [...]'}"),
        ("CODE=SECRET", "CODE=[...]"),
        ("Grant(code='SECRET', nonce=None)", "Grant(code='[...]', nonce=[...])"),
        ("<QueryDict: {'code': ['SECRET', 'SECRET'], 'iss': ['x']}>", "<QueryDict: {'code': [[...]], 'iss': ['x']}>"),
        (r'{"body": "{\"code\": \"SEC\\u00e9RET\"}"}', r'{"body": "{\"code\": \"[...]\"}"}'),
        ("next=%2Fcallback%3Fcode%3DSECRET%26iss%3Dx", "next=%2Fcallback%3Fcode%3D[...]%26iss%3Dx"),
        ("error_description=code%3DSECRET+is+old&iss=x", "error_description=code%3D[...]&iss=x"),
        ("wrong: Basic c2l0ZTpzM2NyZXQ=", "wrong: Basic [...]"),
        ("wrong: bearer mF_9.B5f-4.1JqM", "wrong: bearer [...]"),
        (f"an encrypted {JWT}.c2ln.c2ln too", "an encrypted [...] too"),
        (f"invalid token {JWT}, sorry", "invalid token [...], sorry"),
        (f"invalid token {JWT.rpartition('.')[0]}.", "invalid token [...]"),
    ],
)
def test_codes_and_tokens_are_cut_out(log: Log, text: str, cleaned: str) -> None:
    assert log(text) == f"WARNING {cleaned}\n"


@pytest.mark.parametrize(
    "text",
    [
        "login refused reason=op_error reference=9EF2A228 issuer=https://op.example.org endpoint=- op_error=- detail=-",
        "reason_code=x status_code=400 encode: utf-8",
        "the state of the art needs no code",
        "status code: 404, exit code 3, state: open",
        "{'status_code': 404, 'error_code': 'x'}",
        "the basic idea of basic authentication, a bearer of good news",
        'Bearer realm="site", error="invalid_token"',
        "response_type is code, token_endpoint_auth_method is client_secret_basic",
        "eyJ is how a JWT begins. Not this one.",
        "100 %",
    ],
)
def test_everything_else_stays(log: Log, text: str) -> None:
    assert log(text) == f"WARNING {text}\n"


def test_the_client_secret_is_cut_out_wherever_it_stands(log: Log, settings) -> None:
    settings.OIDC_RP_CLIENT_SECRET = CLIENT[1]
    assert log("authenticating with %s!", CLIENT[1]) == "WARNING authenticating with [...]!\n"


@pytest.mark.parametrize(
    "form",
    [
        quote(CLIENT[1]),
        quote_plus(CLIENT[1]),
        json.dumps(CLIENT[1]),
        repr(CLIENT[1]),
        b64encode(":".join(CLIENT).encode()).decode(),
        b64encode(":".join(map(quote_plus, CLIENT)).encode()).decode(),
    ],
)
def test_the_client_secret_is_cut_out_however_it_is_written(log: Log, settings, form: str) -> None:
    settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET = CLIENT
    assert "[...]" in (written := log("the OP says: %s is wrong", form))
    assert form.strip("'\"") not in written


@pytest.mark.parametrize("secret", ["", None])
def test_an_empty_client_secret_cuts_nothing(log: Log, settings, secret: object) -> None:
    settings.OIDC_RP_CLIENT_SECRET = secret
    assert log("plain text") == "WARNING plain text\n"


def test_arguments_of_a_message_are_cleaned(log: Log) -> None:
    assert log("got %s for %r", JWT, {"code": "SECRET"}) == "WARNING got [...] for {'code': '[...]'}\n"


@pytest.mark.parametrize("path", ["/", "/oidc/callback/?code=SECRET"])
def test_arguments_stay_for_formatters_that_need_them(path: str) -> None:
    """Uvicorn's access log takes them apart."""
    args = ("127.0.0.1:1", "GET", path, "1.1", 200)
    record = logging.makeLogRecord({"msg": '%s - "%s %s HTTP/%s" %d', "args": args})
    assert WithoutSecrets().filter(record)
    assert record.args == (*args[:2], path.replace("SECRET", "[...]"), *args[3:])
    assert "SECRET" not in record.getMessage()


def test_named_arguments_stay_too() -> None:
    record = logging.makeLogRecord({"msg": "%(m)s %(U)s", "args": {"m": "GET", "U": "/?code=SECRET"}})
    assert WithoutSecrets().filter(record)
    assert record.getMessage() == "GET /?code=[...]"
    assert record.args == {"m": "GET", "U": "/?code=[...]"}


def test_a_record_without_secrets_is_left_as_it_is() -> None:
    before = {"msg": "%s %d%%", "args": ("a", 7), "exc_info": (ValueError, ValueError("plain"), None)}
    record = logging.makeLogRecord(before)
    assert WithoutSecrets().filter(record)
    assert {name: getattr(record, name) for name in before} == before
    assert record.exc_text is None


def test_it_works_before_django_knows_its_settings() -> None:
    """As in gunicorn's first process."""
    code = "from oidc.logs import WithoutSecrets as W; print(W().clean('code=SECRET&iss=x'))"
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("code=[...]&iss=x\n", "")


def test_a_message_that_is_not_text_is_cleaned(log: Log) -> None:
    assert log({"code": "SECRET"}) == "WARNING {'code': '[...]'}\n"


def test_a_traceback_is_cleaned(log: Log) -> None:
    token = "SECRET"
    try:
        try:
            raise KeyError(f"access_token={token}")
        except KeyError as error:
            raise ValueError(f"cannot read {JWT}") from error
    except ValueError:
        written = log("failed", exc_info=True)
    assert "ValueError: cannot read [...]" in written
    assert "KeyError: 'access_token=[...]'" in written
    assert "access_token=SECRET" not in written


def test_a_traceback_that_another_handler_has_formatted_is_cleaned(log: Log) -> None:
    record = logging.makeLogRecord({"msg": "failed", "exc_text": f"ValueError: {JWT}"})
    assert WithoutSecrets().filter(record)
    assert record.exc_text == "ValueError: [...]"


@pytest.mark.parametrize("args", [("%s and %s", "code=SECRET"), ("%d", "code=SECRET"), ("%", "code=SECRET")])
def test_a_mistake_in_a_log_call_is_not_an_error_of_the_page(log: Log, args: tuple[str, ...]) -> None:
    """A handler reports such mistakes by itself; what a filter raises would reach whoever logs."""
    written = log(*args)
    assert args[0] in written
    assert "SECRET" not in written


def test_nothing_of_a_whole_login_is_left_in_the_log(browser: Browser, op: OP, log: Log, caplog) -> None:
    """Whatever libraries log when they are told to log everything."""
    caplog.handler.addFilter(WithoutSecrets())
    with caplog.at_level(logging.DEBUG):
        browser.log_in()
        browser.log_out()
    (exchange,) = op.asked("/token")
    secrets = [*(text for _, text in op.grants), exchange.form["code"], exchange.form["code_verifier"], CLIENT[1]]
    assert len(secrets) >= 5
    assert not [secret for secret in secrets if secret in caplog.text]
    assert PERSON["email"] not in caplog.text


# Lines of JSON, and the id of a request


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A function that returns what a handler as in production has written of everything, from DEBUG."""
    root, stream = logging.getLogger(), StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    handler.addFilter(WithoutSecrets())
    handler.setFormatter(JSONFormatter())
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    request_id.set("")  # of a test before
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def with_ids(settings: Any) -> None:
    settings.MIDDLEWARE = ["oidc.logs.RequestIds", *settings.MIDDLEWARE]


def test_a_line_is_an_object_that_says_what_happened_when_and_where(lines) -> None:
    before = datetime.now(UTC)
    logging.getLogger("accounts").warning("two\nlines of %s", "\u2028", stack_info=True)
    (line,) = lines()
    assert list(line) == ["time", "level", "logger", "message", "stack"]
    assert abs((datetime.fromisoformat(line["time"]) - before).total_seconds()) < 60
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "accounts", "two\nlines of \u2028")


def test_what_comes_with_a_log_call_is_a_member_and_clean(lines) -> None:
    extra = {"token": JWT, "url": "/?code=SECRET", "seconds": 0.5, "level": "of the call", "request": object()}
    extra |= {"code": "SECRET", "Access_Token": "SECRET", "endless": float("inf"), "time": 0}
    logging.getLogger("accounts").warning("x", extra=extra)
    (line,) = lines()
    assert next(iter(line)) == "time"
    assert (line["token"], line["url"], line["seconds"]) == ("[...]", "/?code=[...]", 0.5)
    assert (line["code"], line["Access_Token"]) == ("[...]", "[...]")
    assert line["level"] == "WARNING"
    assert datetime.fromisoformat(line["time"])
    assert {"request", "endless"}.isdisjoint(line)


@pytest.mark.parametrize("text", ["plain", f"code=SECRET {JWT}"])
def test_a_traceback_is_a_member_of_one_line_and_clean(lines, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("accounts").exception("failed")
    (line,) = lines()
    assert line["exception"].startswith("Traceback")
    assert line["exception"].count("ValueError: ") == 1
    assert "SECRET" not in line["exception"]
    assert JWT not in line["exception"]


@pytest.mark.usefixtures("with_ids")
def test_the_line_of_a_refused_login_has_the_reason_and_the_reference_of_its_page(browser: Browser, op, lines) -> None:
    op.claims["aud"] = "another"
    page = browser.log_in()
    (line,) = [line for line in lines() if line["level"] not in ("DEBUG", "INFO")]
    assert line["reason"] == "id_token_audience"
    assert f"<code>{line['reference']}</code>" in page.content.decode()
    assert line["request_id"] == page["X-Request-ID"]


@pytest.mark.usefixtures("with_ids")
def test_every_line_of_a_login_has_the_id_of_its_request_those_of_the_client_too(browser: Browser, op, lines) -> None:
    callback = op.grant(browser.leave().headers["Location"])
    before = len(lines())
    response = browser.come_back(callback)
    written = [line for line in lines()[before:] if line["logger"] != "asyncio"]
    assert {line["logger"] for line in written} >= {"oidc.views", "urllib3.connectionpool"}
    assert {line.get("request_id") for line in written} == {response["X-Request-ID"]}


@pytest.mark.usefixtures("with_ids", "db")
@pytest.mark.parametrize(
    ("sent", "is_taken"),
    [
        ("0f8fad5b-d9cb-469f-a165-70867728950e", True),
        ("abcdefgh", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("short", False),
        ("", False),
        ("two words", False),
        ("12345678\n", False),
        ('"},{"level":"x', False),
        ("ümläütümläüt", False),
    ],
)
def test_the_id_of_a_proxy_is_taken_if_it_looks_like_one(client, sent: str, is_taken: bool) -> None:
    found = client.get("/", SERVER_NAME="localhost", headers={"X-Request-ID": sent})["X-Request-ID"]
    assert (found == sent) is is_taken
    assert is_taken or len(found) == 32


def test_no_line_of_json_has_anything_of_failing_logins(browser: Browser, op: OP, lines) -> None:
    for changes in ({"aud": "another"}, {"iss": "https://other.example"}, {"exp": 1}, {"nonce": "other"}):
        op.claims = changes
        browser.log_in()
    asked = op.asked("/token")
    secrets = [*(text for _, text in op.grants), CLIENT[1]]
    secrets += [request.form[name] for request in asked for name in ("code", "code_verifier")]
    written = json.dumps(lines(), ensure_ascii=False)
    assert len(asked) == 4
    assert not [secret for secret in secrets if secret in written]
