"""The doctor: every line that it can say, what makes it say so, and that nothing keeps it from saying the rest."""

import ast
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from io import StringIO
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor
from jwt.algorithms import RSAAlgorithm

from oidc import checks, doctor, errors
from oidc.doctor import Line
from oidc.internal import documents, examination, keys, transport
from oidc.testing.op import ABSENT, CLIENT, DISCOVERY, OP, Handler, dead, jwk, private_key, responds, slow

SHARED = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://localhost:1"}}
LOCAL = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
HTML = responds(b"<!doctype html><title>Log in</title>", "text/html")


@dataclass
class Site:
    """What makes the doctor say something."""

    op: OP
    settings: Any
    patch: pytest.MonkeyPatch
    folder: Path

    def set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.settings, name, value)

    def op_says(self, **metadata: Any) -> None:
        self.op.metadata |= metadata

    def by_hand(self) -> None:
        """Set every endpoint by hand."""
        paths = {"AUTHORIZATION": "authorize", "TOKEN": "token", "USER": "userinfo", "JWKS": "jwks"}
        self.set(**{f"OIDC_OP_{name}_ENDPOINT": f"{self.op.issuer}/{path}" for name, path in paths.items()})

    def without_document(self) -> None:
        self.by_hand()
        self.op.faults[DISCOVERY] = responds({}, status=404)

    def migrate_in_future(self) -> None:
        self.patch.setattr(MigrationExecutor, "migration_plan", lambda executor, targets: [("oidc", "0002")])

    def lose_database(self) -> None:
        failure = mock.Mock(side_effect=DatabaseError("connection refused:\n  no server"))
        self.patch.setattr("oidc.doctor.MigrationExecutor", failure)

    def sign_weakly(self, **members: Any) -> None:
        """Publish an RSA key of 1024 bits in place of the good one."""
        weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
        self.op.jwks = [{name: weak[name] for name in ("kty", "n", "e")} | {"kid": "weak"}]

    def token_endpoint(self, *responses: tuple[int, str]) -> None:
        """Let the token endpoint respond with a status and an error, another one each time, the last for ever."""
        left = [responds({"error": error}, status=status) for status, error in responses]
        self.op.faults["/token"] = lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)

    def authorize(self, **parameters: str) -> None:
        """Let the authorization endpoint send everybody back at once with `parameters`."""
        target = f"{self.settings.SITE_URL}/oidc/callback/?" + "&".join(f"{k}={v}" for k, v in parameters.items())
        self.op.faults["/authorize"] = responds(b"", status=302, Location=target)

    def go_to(self, first: str, then: str) -> None:
        """Let the authorization endpoint lead to a page of the OP, and for a made-up redirect URI to another."""

        def lead(handler: Handler) -> None:
            place = then if examination.MADE_UP in handler.path else first
            responds(b"", status=302, Location=place)(handler)

        self.op.faults["/authorize"] = lead

    def clock(self, seconds: float) -> None:
        """Let the OP's clock be wrong."""
        self.patch.setattr(Handler, "date_time_string", lambda handler: formatdate(time.time() + seconds, usegmt=True))

    def certificate(self, days: int) -> None:
        """Put the OP behind TLS with a certificate of its own that lasts so long, which the site trusts."""
        key, name, now = private_key("P-256", 1), x509.Name([]), datetime.now(UTC)
        builder = x509.CertificateBuilder(
            name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(days, hours=1)
        )
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        made = builder.add_extension(names, critical=True).sign(key, SHA256())
        pem = self.folder / "op.pem"
        pem.write_bytes(
            made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        self.op.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.op.tls.load_cert_chain(pem)
        self.set(OIDC_OP_CA_BUNDLE=str(pem), OIDC_OP_ISSUER=self.op.issuer)


@pytest.fixture
def site(op: OP, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, db: None) -> Site:
    """A site at which every line passes."""
    settings.DEBUG, settings.CACHES = True, LOCAL
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    settings.OIDC_GROUPS_CLAIM = "email"
    return Site(op, settings, monkeypatch, tmp_path)


# (level, name, anchor): what makes the doctor say such a line.
LINES: list[tuple[str, str, str, str, Callable[[Site], Any]]] = [
    ("fail", "environment", "environment", "SITE_URL is wrong",
        lambda site: site.set(ENVIRONMENT_PROBLEMS=["SITE_URL is wrong: must be an absolute URL."])),
    ("fail", "settings", "oidc.E003", "not a public key", lambda site: site.set(OIDC_RP_IDP_SIGN_KEY="x")),
    ("fail", "settings", "oidc.E004", "'none'", lambda site: site.set(OIDC_RP_SIGN_ALGO="none")),
    ("fail", "settings", "oidc.E005", "discovery document",
        lambda site: site.set(OIDC_OP_ISSUER=f"{site.op.issuer}{DISCOVERY}")),
    ("fail", "settings", "oidc.E011", "OIDC_TENANTS", lambda site: site.set(OIDC_TENANTS=["example.org"])),
    ("fail", "settings", "oidc.E012", "whole number", lambda site: site.set(OIDC_FAILED_LOGINS_PER_MINUTE=-1)),
    ("warn", "settings", "oidc.W001", "32 bytes",
        lambda site: site.set(OIDC_RP_SIGN_ALGO="HS256", OIDC_RP_CLIENT_SECRET="short")),
    ("warn", "names", "oidc.W002", "OIDC_RP_CLIENT_SECRT", lambda site: site.set(OIDC_RP_CLIENT_SECRT="x")),
    ("fail", "address", "oidc.E006", "SITE_URL", lambda site: site.set(SITE_URL="app.example.org")),
    ("fail", "address", "oidc.E007", "app.example.org", lambda site: site.set(SITE_URL="http://app.example.org")),
    ("fail", "address", "oidc.E008", "URL pattern",
        lambda site: site.set(OIDC_AUTHENTICATION_CALLBACK_URL="https://app.example.org/oidc/callback/")),
    ("warn", "address", "oidc.W003", "plain http",
        lambda site: site.set(SITE_URL="http://app.example.org", ALLOWED_HOSTS=["app.example.org"])),
    ("warn", "address", "oidc.W004", "CSRF_TRUSTED_ORIGINS", lambda site: site.set(SITE_URL="https://localhost")),
    ("warn", "proxy", "oidc.I002", "X-Forwarded-Proto", lambda site: site.set(SITE_URL="https://localhost")),
    ("fail", "sessions", "oidc.E001", "SESSION_ENGINE",
        lambda site: site.set(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")),
    ("fail", "sessions", "oidc.E002", "SAMESITE", lambda site: site.set(SESSION_COOKIE_SAMESITE="Strict")),
    ("warn", "sessions", "oidc.W005", "SESSION_COOKIE_SECURE", lambda site: site.set(SITE_URL="https://localhost")),
    ("fail", "sessions", "oidc.E009", "__Host-", lambda site: site.set(SESSION_COOKIE_NAME="__Host-sessionid")),
    ("fail", "cache", "oidc.E010", "memory of one process",
        lambda site: site.set(DEBUG=False, SESSION_ENGINE="django.contrib.sessions.backends.cache")),
    ("warn", "cache", "oidc.I001", "CACHE_URL", lambda site: site.patch.setenv("WEB_CONCURRENCY", "2")),
    ("warn", "database", "database", "lacks 1 migrations", Site.migrate_in_future),
    ("fail", "database", "database", "lacks 1 migrations",
        lambda site: (site.migrate_in_future(), site.set(DEBUG=False))),
    ("fail", "database", "database", "connection refused: no server", Site.lose_database),
    ("fail", "discovery", "op_response", "not set", lambda site: site.set(OIDC_OP_ISSUER="")),
    ("warn", "discovery", "op_response", "HTTP 404", Site.without_document),
    ("fail", "discovery", "op_unreachable", "cannot be reached", lambda site: site.op.faults.update({DISCOVERY: dead})),
    ("fail", "discovery", "op_response", "HTTP 404",
        lambda site: site.op.faults.update({DISCOVERY: responds({}, status=404)})),
    ("fail", "issuer", "metadata_invalid", "expected", lambda site: site.op_says(issuer=f"{site.op.issuer}/")),
    ("fail", "issuer", "metadata_invalid", "not an https URL",
        lambda site: site.op_says(token_endpoint="http://op.example.org/token")),
    ("fail", "endpoints", "op_response", "no token_endpoint", lambda site: site.op_says(token_endpoint=ABSENT)),
    ("warn", "endpoints", "op_response", "OIDC_OP_USER_ENDPOINT is",
        lambda site: site.set(OIDC_OP_USER_ENDPOINT=f"{site.op.issuer}/other")),
    ("fail", "algorithm", "id_token_algorithm", "RS256, and the OP offers ES256",
        lambda site: site.op_says(id_token_signing_alg_values_supported=["ES256"])),
    ("warn", "algorithm", "id_token_algorithm", "does not say",
        lambda site: site.op_says(id_token_signing_alg_values_supported=ABSENT)),
    ("fail", "pkce", "pkce", "offers plain", lambda site: site.op_says(code_challenge_methods_supported=["plain"])),
    ("warn", "pkce", "pkce", "does not say", lambda site: site.op_says(code_challenge_methods_supported=ABSENT)),
    ("fail", "scopes", "scope_refused", "lacks openid", lambda site: site.set(OIDC_RP_SCOPES="email")),
    ("warn", "scopes", "scope_refused", "lacks offline_access", lambda site: site.set(OIDC_RENEWAL="refresh_token")),
    ("warn", "scopes", "scope_refused", "all but groups", lambda site: site.set(OIDC_RP_SCOPES="openid email groups")),
    ("warn", "groups", "groups_missing", "does not", lambda site: site.set(OIDC_GROUPS_CLAIM="realm_access.roles")),
    ("warn", "end-session", "end-session", "stays here", lambda site: site.op_says(end_session_endpoint=ABSENT)),
    ("warn", "back-channel", "back-channel", "does not say",
        lambda site: site.op_says(backchannel_logout_supported=ABSENT)),
    ("fail", "keys", "id_token_key", "has 1 keys: 0 for RS256", lambda site: site.op.jwks.__setitem__(0, jwk("P-256"))),
    ("fail", "keys", "id_token_key", "1 for RS256, of which 0", Site.sign_weakly),
    ("warn", "keys", "id_token_key", "2 for RS256, of which 1",
        lambda site: (good := site.op.jwks[0], site.sign_weakly(), site.op.jwks.append(good))),
    ("fail", "keys", "op_timeout", "in time",
        lambda site: (site.set(OIDC_TIMEOUT=0.3), site.op.faults.update({"/jwks": slow}))),
    ("fail", "client", "client_refused", "not set", lambda site: site.set(OIDC_RP_CLIENT_ID="")),
    ("fail", "client", "client_refused", "client_secret_basic", lambda site: site.set(OIDC_RP_CLIENT_SECRET="wrong")),
    ("fail", "client", "client_refused", "access_denied", lambda site: site.token_endpoint((403, "access_denied"))),
    ("fail", "client", "op_unreachable", "cannot be reached", lambda site: site.op.faults.update({"/token": dead})),
    ("fail", "client", "op_response", "HTTP 200", lambda site: site.op.faults.update({"/token": HTML})),
    ("warn", "client", "client_refused", "does not show", lambda site: site.token_endpoint((400, "invalid_grant"))),
    ("warn", "client", "client_refused", "does not show", lambda site: site.op.faults.update({"/token": responds({})})),
    ("warn", "client", "client_refused", "does not show",
        lambda site: site.token_endpoint((400, "invalid_grant"), (503, "server_error"))),
    ("fail", "redirect", "op_error", "refuses", lambda site: setattr(site.op, "site_url", "https://www.example.org")),
    ("fail", "redirect", "op_error", "refuses",
        lambda site: site.go_to("/error?error=redirect_mismatch", "/error?error=redirect_mismatch")),
    ("warn", "redirect", "op_error", "does not show", lambda site: site.op.faults.update({"/authorize": HTML})),
    ("warn", "redirect", "op_error", "does not show",
        lambda site: site.op.faults.update({"/authorize": responds(b"", status=503)})),
    ("fail", "redirect", "op_unreachable", "reached", lambda site: site.op.faults.update({"/authorize": dead})),
    ("fail", "request", "scope_refused", "invalid_scope", lambda site: site.authorize(error="invalid_scope")),
    ("fail", "request", "client_refused", "unauthorized_client",
        lambda site: site.authorize(error="unauthorized_client")),
    ("warn", "request", "op_error", "invalid_request", lambda site: site.authorize(error="invalid_request")),
    ("fail", "clock", "id_token_time", "s ahead of the OP", lambda site: site.clock(3600)),
    ("warn", "clock", "id_token_time", "s ahead of the OP", lambda site: site.clock(-30)),
    ("warn", "clock", "id_token_time", "no usable Date",
        lambda site: site.patch.setattr(Handler, "date_time_string", lambda handler: "soon")),
    ("warn", "tls", "op_unreachable", "lasts 20 days", lambda site: site.certificate(days=20)),
    ("fail", "tls", "op_timeout", "in time",
        lambda site: (site.set(OIDC_TIMEOUT=0.3), site.op_says(userinfo_endpoint=site.op.issuer.replace(
            "127.0.0.1", "localhost") + "/userinfo"), site.op.faults.update({"/userinfo": slow}))),
]  # fmt: skip
PASSING = [
    "environment", "settings", "names", "address", "proxy", "sessions", "cache", "database", "discovery", "issuer",
    "endpoints", "algorithm", "pkce", "scopes", "groups", "end-session", "back-channel", "keys", "client", "redirect",
    "request", "clock", "tls",
]  # fmt: skip


def examine() -> list[Line]:
    return [*doctor.examine()]


def said(level: str = "") -> list[Line]:
    return [line for line in examine() if line.level == level]


def test_a_sound_site_passes_every_line(site: Site) -> None:
    lines = examine()
    assert [line.name for line in lines] == PASSING
    assert {line.level for line in lines} == {"pass"}, [line for line in lines if line.level != "pass"]


@pytest.mark.parametrize(
    ("level", "name", "anchor", "text", "trigger"), LINES, ids=[f"{row[1]}-{row[0]}-{row[2]}" for row in LINES]
)
def test_what_is_wrong_is_said_with_a_hint_and_where_to_read_on(
    site: Site, level: str, name: str, anchor: str, text: str, trigger: Callable[[Site], Any]
) -> None:
    trigger(site)
    lines = examine()
    found = [line for line in lines if (line.level, line.name, line.anchor) == (level, name, anchor)]
    assert found, lines
    assert text in found[0].text
    assert found[0].hint
    assert CLIENT[1] not in str(lines)
    assert "Traceback" not in str(lines)


def names_judged(module: Any) -> set[str]:
    """Return the names of lines in a module's source: the first argument of `judge`."""
    calls = [node for node in ast.walk(ast.parse(Path(module.__file__).read_text())) if isinstance(node, ast.Call)]
    judged = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "judge"]
    return {argument.value for argument in judged if isinstance(argument, ast.Constant)}


def test_every_line_of_the_source_is_in_the_table() -> None:
    judged = names_judged(doctor) | names_judged(examination)
    assert judged | {name for name, *_ in doctor.CHECKS} == {name for _, name, *_ in LINES} == {*PASSING}


def test_every_check_is_a_line_of_the_doctor() -> None:
    registered = {check for name, check in vars(checks).items() if name.startswith("check_")}
    assert {check for _, check, _ in doctor.CHECKS} == registered


def test_what_needs_no_network_asks_nobody(site: Site) -> None:
    assert [line.name for line in doctor.without_network()] == PASSING[:7]
    assert site.op.requests == []


# What a response means depends on what another one leads to


@pytest.mark.parametrize(
    ("responses", "level"),
    [
        ([(400, "invalid_grant"), (401, "invalid_client")], "pass"),
        ([(400, "invalid_request"), (401, "invalid_client")], "pass"),
        ([(400, "invalid_grant"), (403, "access_denied")], "pass"),
        ([(400, "invalid_request"), (400, "invalid_request")], "warn"),
        ([(401, "invalid_client")], "fail"),
        ([(401, "unauthorized_client")], "fail"),
    ],
)
def test_a_secret_is_accepted_if_another_one_is_refused(site: Site, responses: Any, level: str) -> None:
    site.token_endpoint(*responses)
    assert [line.level for line in examine() if line.name == "client"] == [level]


def test_the_control_is_another_secret_each_time_and_the_code_is_nobodys(site: Site) -> None:
    examine()
    examine()
    asked = site.op.asked("/token")
    assert [form["code"] for form in (one.form for one in asked if one.form)] == [examination.MADE_UP] * 4
    assert len({one.headers["Authorization"] for one in asked if one.form}) == 3


def test_a_client_without_a_secret_is_known_by_its_id(site: Site) -> None:
    site.op.auth_methods = ["none"]
    site.set(OIDC_TOKEN_ENDPOINT_AUTH_METHOD="none", OIDC_RP_CLIENT_SECRET="")
    assert [line.level for line in examine() if line.name == "client"] == ["pass"]
    site.set(OIDC_RP_CLIENT_ID="another")
    assert [line.level for line in examine() if line.name == "client"] == ["fail"]


def test_an_op_that_asks_for_a_login_all_the_same_is_judged_by_what_it_refuses(site: Site) -> None:
    site.go_to("/login", "/error")
    assert [line.level for line in examine() if line.name == "redirect"] == ["pass"]


def test_a_code_for_somebody_is_as_good_as_a_refusal_for_nobody(site: Site) -> None:
    site.authorize(code="x")
    assert [line.level for line in examine() if line.name in ("redirect", "request")] == ["pass", "pass"]


def test_the_request_is_that_of_a_silent_renewal_without_a_cookie(site: Site) -> None:
    site.set(OIDC_AUTH_REQUEST_EXTRA_PARAMS={"audience": "api"})
    examine()
    (asked,) = site.op.asked("/authorize")
    assert asked.cookie == ""
    wanted = {"prompt": "none", "audience": "api", "redirect_uri": "http://localhost/oidc/callback/"}
    assert wanted.items() <= asked.query.items()


def test_a_set_of_keys_is_not_asked_for_where_it_is_not_used(site: Site) -> None:
    site.op.sign_with("HS256")
    site.set(OIDC_RP_SIGN_ALGO="HS256")
    assert [line.level for line in examine() if line.name in ("algorithm", "keys")] == ["pass", "pass"]
    assert site.op.asked("/jwks") == []


def test_a_certificate_that_lasts_passes_with_its_days(site: Site) -> None:
    site.certificate(days=90)
    (line,) = [line for line in examine() if line.name == "tls"]
    assert line == Line("pass", "tls", f"The certificate of {site.op.issuer[8:]} is trusted, and lasts 90 days.")


def test_an_untrusted_certificate_is_named_as_the_cause(site: Site) -> None:
    site.certificate(days=90)
    site.set(OIDC_OP_CA_BUNDLE="")
    (line,) = said("fail")
    assert line.name == "discovery"
    assert "CERTIFICATE_VERIFY_FAILED" in line.text


def test_an_age_that_a_cache_names_is_no_offset_of_the_clock(site: Site) -> None:
    site.clock(-3600)
    seen = transport.look(f"{site.op.issuer}{DISCOVERY}")
    aged = replace(seen, headers={**seen.headers, "Age": "3600"})
    assert examination.clock(seen).level == "fail"
    assert examination.clock(aged).level == "pass"


# Half-configured and hostile


def test_a_wrong_issuer_is_told_what_the_op_calls_itself(site: Site) -> None:
    site.op_says(issuer=f"{site.op.issuer}/")
    (line,) = said("fail")
    assert f"Set OIDC_OP_ISSUER to {site.op.issuer}/, " in line.hint


def test_nobody_is_told_to_trust_another_host(site: Site) -> None:
    site.op_says(issuer="https://evil.example")
    assert "evil" not in said("fail")[0].hint


def test_the_issuer_of_many_tenants_is_told_to_name_one(site: Site) -> None:
    site.op_says(issuer=f"{site.op.issuer}/{{tenantid}}/v2.0")
    assert "tenant" in said("fail")[0].hint


def test_an_op_that_is_not_who_it_should_be_gets_no_secret(site: Site) -> None:
    site.op_says(issuer="https://evil.example")
    examine()
    assert {asked.path for asked in site.op.requests} == {DISCOVERY}


def test_a_site_that_knows_nothing_yet_is_told_so_without_asking_anybody(site: Site) -> None:
    site.set(OIDC_OP_ISSUER="", OIDC_RP_CLIENT_ID="", OIDC_RP_CLIENT_SECRET="", SITE_URL="", SECRET_KEY="")
    assert {line.name for line in said("fail")} == {"address", "discovery"}
    assert site.op.requests == []


def test_without_a_client_the_rest_is_said(site: Site) -> None:
    site.set(OIDC_RP_CLIENT_ID="", OIDC_RP_CLIENT_SECRET="")
    assert [line.name for line in said("fail")] == ["client"]
    assert {line.name for line in said("pass")} == {*PASSING} - {"client", "redirect", "request"}


def test_an_op_that_was_down_a_moment_ago_is_asked_all_the_same(site: Site) -> None:
    site.op.faults[DISCOVERY] = dead
    assert said("fail")
    site.op.faults.clear()
    assert {line.level for line in examine()} == {"pass"}


def test_what_the_site_remembers_of_the_op_hides_nothing_and_is_brought_up_to_date(site: Site) -> None:
    examine()
    site.op_says(id_token_signing_alg_values_supported=["ES256"])
    assert [line.name for line in said("fail")] == ["algorithm"]
    kept = documents.document("metadata", site.op.issuer, pytest.fail)
    assert kept["id_token_signing_alg_values_supported"] == ["ES256"]


def test_an_op_that_hangs_everywhere_is_left_in_time(site: Site) -> None:
    site.set(OIDC_TIMEOUT=0.3)
    site.by_hand()
    site.op.faults |= dict.fromkeys([DISCOVERY, "/token", "/jwks", "/userinfo", "/authorize"], slow)
    started = time.monotonic()
    assert {line.name for line in said("fail")} == {"keys", "client", "redirect", "tls"}
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("value", [None, 1, "RS256", {"a": 1}, [None, 1, ["x"]], ["\x1b[31m\n" * 1000]])
def test_metadata_of_any_shape_leads_to_lines(site: Site, value: Any) -> None:
    lists = ["id_token_signing_alg_values", "code_challenge_methods", "scopes", "claims", "backchannel_logout"]
    site.op_says(**{f"{name}_supported": value for name in lists})
    lines = examine()
    assert {line.name for line in lines} >= {"algorithm", "pkce", "scopes", "groups", "back-channel"}
    assert all(line.text.isprintable() and len(line.text) < 1000 for line in lines)


# The command


@dataclass
class Ran:
    code: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("oidc_doctor", *arguments, stdout=out, stderr=err)
    except SystemExit as error:
        code = int(error.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def test_the_urls_to_register_come_first_and_lines_follow(site: Site) -> None:
    ran = run()
    assert (ran.code, ran.err) == (0, "")
    first, _, rest = ran.out.partition("\n\n")
    for url in doctor.urls_to_register().values():
        assert url in first
    assert [line.split()[:2] for line in rest.splitlines() if line.startswith("pass")] == [["pass", n] for n in PASSING]
    assert "23 passed, 0 warnings, 0 failed." in ran.out
    assert "\x1b" not in ran.out


def test_urls_are_those_of_the_site(site: Site) -> None:
    site.set(OIDC_FRONTCHANNEL_LOGOUT=True, LOGOUT_REDIRECT_URL="/page/")
    assert doctor.urls_to_register() == {
        "redirect URI": "http://localhost/oidc/callback/",
        "post-logout redirect URI": "http://localhost/page/",
        "back-channel logout URI": "http://localhost/oidc/backchannel-logout/",
        "initiate login URI": "http://localhost/oidc/initiate/",
        "front-channel logout URI": "http://localhost/oidc/frontchannel-logout/",
    }


def test_warnings_leave_the_exit_code_alone_and_say_where_to_read_on(site: Site) -> None:
    site.op_says(code_challenge_methods_supported=ABSENT)
    ran = run()
    assert ran.code == 0
    assert f"See {errors.MANUAL}#pkce" in ran.out


def test_a_failure_is_the_exit_code_and_the_next_step(site: Site) -> None:
    site.set(OIDC_RP_CLIENT_SECRET="wrong")
    ran = run()
    assert ran.code == 1
    assert f"See {errors.MANUAL}#client_refused" in ran.out
    assert "mend what failed" in ran.out


@pytest.mark.parametrize("secret", [CLIENT[1], "wrong"])
def test_json_is_one_object_with_the_same_lines(site: Site, secret: str) -> None:
    site.set(OIDC_RP_CLIENT_SECRET=secret)
    site.clock(0)
    ran, lines = run("--json"), [asdict(line) for line in examine()]
    found = json.loads(ran.out)
    assert found["urls"] == doctor.urls_to_register()
    assert [line["name"] for line in found["lines"]] == [line["name"] for line in lines]
    assert (ran.code == 1) == any(line["level"] == "fail" for line in found["lines"])


def test_a_terminal_has_colours_and_sees_which_address_is_asked(site: Site) -> None:
    terminals = [StringIO(), StringIO()]
    for terminal in terminals:
        terminal.isatty = lambda: True  # type: ignore[method-assign]
    site.patch.setenv("COLUMNS", "80")
    call_command("oidc_doctor", stdout=terminals[0], stderr=terminals[1], force_color=True)
    out, err = (terminal.getvalue() for terminal in terminals)
    assert "\x1b[32" in out
    assert max(map(len, out.splitlines())) <= 80 + len("\x1b[32;1m\x1b[0m")
    assert f"asking {site.op.issuer}{DISCOVERY}" in err
    assert err.endswith("\r\x1b[K")


# --write


@pytest.fixture
def env_file(site: Site) -> Iterator[Path]:
    """A `.env` as a person has it, with comments, quotes and foreign line ends."""
    file = site.folder / ".env"
    file.write_bytes(b"# me\r\nSECRET_KEY='a b#c'\r\nOIDC_OP_TOKEN_ENDPOINT=\r\nexport OIDC_OP_JWKS_ENDPOINT=old\nX=1")
    file.chmod(0o640)
    site.set(ENV_FILE=file)
    yield file
    assert [path.name for path in site.folder.iterdir()] == [".env"]


def test_endpoints_are_written_and_everything_else_is_kept(site: Site, env_file: Path) -> None:
    ran = run("--write")
    op = site.op.issuer
    assert ran.code == 0
    assert env_file.read_bytes().decode() == (
        f"# me\r\nSECRET_KEY='a b#c'\r\nOIDC_OP_TOKEN_ENDPOINT={op}/token\r\nexport OIDC_OP_JWKS_ENDPOINT={op}/jwks\n"
        f"X=1\nOIDC_OP_AUTHORIZATION_ENDPOINT={op}/authorize\nOIDC_OP_USER_ENDPOINT={op}/userinfo\n"
        f"OIDC_OP_END_SESSION_ENDPOINT={op}/end-session\n"
    )
    assert env_file.stat().st_mode & 0o777 == 0o640
    assert ran.err.count("is in ") == 5


def test_writing_again_changes_nothing(env_file: Path) -> None:
    run("--write")
    before = env_file.read_bytes()
    run("--write")
    assert env_file.read_bytes() == before


def test_what_logins_no_longer_read_in_the_metadata_is_said(site: Site, env_file: Path) -> None:
    site.op.auth_methods = ["client_secret_post"]
    assert 'OIDC_TOKEN_ENDPOINT_AUTH_METHOD = "client_secret_post"' in run("--write").err


@pytest.mark.parametrize("trouble", ["wrong issuer", "no file", "no setting", "a folder", "disk full"])
def test_nothing_is_half_written(site: Site, env_file: Path, monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    before = env_file.read_bytes()
    if trouble == "wrong issuer":
        site.op_says(issuer="https://evil.example")
    elif trouble == "disk full":
        monkeypatch.setattr("os.replace", mock.Mock(side_effect=OSError(28, "No space left on device")))
    else:
        values = {"no file": env_file.with_name("gone"), "no setting": None, "a folder": env_file.parent}
        site.set(ENV_FILE=values[trouble])
    with pytest.raises(CommandError, match="Nothing was written: "):
        run("--write")
    assert env_file.read_bytes() == before


def test_a_link_stays_a_link(site: Site, env_file: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("elsewhere") / ".env"
    link.symlink_to(env_file)
    site.set(ENV_FILE=link)
    run("--write")
    assert link.is_symlink()
    assert f"={site.op.issuer}/token" in env_file.read_text()


# The manual

MANUAL = Path(doctor.__file__).with_name("TROUBLESHOOTING.md").read_text(encoding="utf-8")


def headings() -> dict[str, str]:
    """Return the headings of the manual by their anchors."""
    lines = [line for line in MANUAL.splitlines() if line.startswith("### ")]
    pairs = [line.removeprefix('### <a id="').split('"></a>') for line in lines]
    assert len(dict(pairs)) == len(lines), "an anchor is there twice"
    return dict(pairs)


def check_ids() -> set[str]:
    source = ast.walk(ast.parse(Path(checks.__file__).read_text()))
    return {node.value.value for node in source if isinstance(node, ast.keyword) and node.arg == "id"}


def test_every_reason_check_and_line_has_its_anchor_and_no_other_is_there() -> None:
    reasons = {reason.code for reason in errors.REASONS}
    lines = {anchor for *_, anchor, _, _ in LINES}
    assert headings().keys() == reasons | check_ids() | lines
    assert check_ids() <= lines


def test_headings_are_what_people_read() -> None:
    found = headings()
    for reason in errors.REASONS:
        assert found[reason.code] == str(reason.explanation)


def test_every_anchor_is_followed_by_one_to_four_sentences() -> None:
    for part in MANUAL.split("### ")[1:]:
        text = part.partition("\n")[2].partition("\n## ")[0].strip()
        assert 20 < len(text) < 500, part


def test_algorithms_of_the_hint_are_those_of_the_site_where_the_op_offers_none(site: Site) -> None:
    site.op_says(id_token_signing_alg_values_supported=["RS1"])
    (line,) = [line for line in examine() if line.name == "algorithm"]
    assert all(name in line.hint for name in keys.SUPPORTED)
