"""Numbers for Prometheus: what is counted, by several processes, and who may see it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import Signal
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

from oidc import doctor, metrics, signals
from oidc.internal import transport
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON, dead

PORT = 9464
Numbers = Callable[[], dict[str, float]]


def serve(site: Any = None, process: int = 0) -> Callable[..., tuple[str, str]]:
    """Return a function that asks the application of a process, over a connection that has these two ends."""
    application = metrics.beside(site or (lambda environ, start: [b"the site"]), PORT, process)

    def ask(here: object = ("127.0.0.1", PORT), peer: str = "127.0.0.1", **more: str) -> tuple[str, str]:
        statuses = [""]
        environ = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": peer, "PATH_INFO": "/", "QUERY_STRING": "", **more}
        end = {"gunicorn.socket": SimpleNamespace(getsockname=lambda: here)}
        parts = application(environ | end, lambda status, headers: statuses.append(status))
        return statuses[-1], b"".join(parts).decode()

    return ask


def read(text: str) -> dict[str, float]:
    """Return numbers by their name and their labels as text, but those of a histogram that a fast machine changes."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        " ".join([sample.name, *(value for _, value in sorted(sample.labels.items()) if value)]): sample.value
        for sample in samples
        if not sample.name.endswith(("_bucket", "_sum"))
    }


@pytest.fixture(autouse=True)
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the numbers of a test in its own folder, and count nothing after it."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    every = [user_logged_in, user_logged_out, *(value for value in vars(signals).values() if isinstance(value, Signal))]
    before = [(signal, list(signal.receivers)) for signal in every]
    yield
    for signal, receivers in before:
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()


@pytest.fixture
def numbers() -> Numbers:
    """A function that returns all numbers, of a process that counts from now on."""
    ask = serve()
    return lambda: read(ask()[1])


def test_logins_are_counted_by_how_they_ended_and_why(browser: Browser, op: OP, numbers: Numbers) -> None:
    browser.log_in()
    op.claims["aud"] = "another"
    Browser(op).log_in()
    Browser(op).log_in()
    counted = numbers()
    assert counted["oidc_logins_total succeeded"] == 1
    assert counted["oidc_logins_total refused id_token_audience"] == 2


def test_the_ops_endpoints_are_timed_and_its_keys_counted(browser: Browser, op: OP, numbers: Numbers) -> None:
    browser.log_in()
    Browser(op).log_in()
    counted = numbers()
    assert counted[f"oidc_op_seconds_count {op.issuer}/token responded"] == 2
    assert counted[f"oidc_op_seconds_count {op.issuer}/userinfo responded"] == 2
    assert counted[f"oidc_op_up {op.issuer}/token"] == 1
    assert counted["oidc_key_refreshes_total"] == 1


def test_an_endpoint_that_is_down_is_seen_in_the_numbers_and_by_the_doctor(
    browser: Browser, op: OP, numbers: Numbers
) -> None:
    browser.log_in()
    token, known = f"{op.issuer}/token", doctor.silent_endpoints()
    op.faults["/token"] = dead
    Browser(op).log_in()
    assert known == []
    assert doctor.silent_endpoints() == [token]
    counted = numbers()
    assert counted[f"oidc_op_up {token}"] == 0
    assert counted[f"oidc_op_seconds_count {token} op_unreachable"] == 1
    assert counted["oidc_logins_total refused op_unreachable"] == 1
    op.faults.clear()
    transport.breaker_of(token).heard()
    assert doctor.silent_endpoints() == []
    assert numbers()[f"oidc_op_up {token}"] == 1


def renew(browser: Browser) -> Any:
    browser.age(15 * 60 + 1)
    return browser.get(browser.visit_op(browser.get("/page/")["Location"]))


def test_renewals_are_counted_by_how_they_ended_and_why(browser: Browser, op: OP, numbers: Numbers) -> None:
    other = Browser(op)
    for person in (browser, other):
        person.log_in()
    renew(browser)
    op.faults["/token"] = dead
    renew(other)
    counted = numbers()
    assert counted["oidc_renewals_total renewed"] == 1
    assert counted["oidc_renewals_total failed op_unreachable"] == 1
    # The session goes on, and no page of a failed login was seen.
    assert counted["oidc_logins_total succeeded"] == 2
    assert not [name for name in counted if "oidc_logins_total refused" in name]


def test_a_renewal_that_the_op_refuses_is_counted(browser: Browser, op: OP, numbers: Numbers) -> None:
    browser.log_in()
    op.sessions.clear()
    browser.age(15 * 60 + 1)
    browser.get(browser.visit_op(browser.get("/page/")["Location"]))
    assert numbers()["oidc_renewals_total failed login_required"] == 1


@pytest.mark.parametrize(("error", "counted"), [(None, "renewed"), ("invalid_grant", "failed code_refused")])
def test_renewals_in_the_background_are_counted(browser: Browser, op: OP, numbers, settings, error, counted) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    browser.log_in()
    browser.age(15 * 60 + 1)
    if error:
        op.end_sessions(PERSON["sub"])
    browser.get("/page/")
    assert numbers()[f"oidc_renewals_total {counted}"] == 1


def test_sessions_that_end_are_counted_by_who_ended_them(browser: Browser, op: OP, numbers: Numbers) -> None:
    browser.log_in()
    Browser(op).log_in()
    Browser(op).post("/oidc/backchannel-logout/", {"logout_token": op.logout_token(sub=PERSON["sub"])})
    Browser(op).post("/oidc/logout/")  # of nobody
    other = Browser(op)
    other.log_in()
    other.post("/oidc/logout/")
    counted = numbers()
    assert counted["oidc_sessions_ended_total op"] == 2
    assert counted["oidc_sessions_ended_total site"] == 1


def test_any_process_tells_the_numbers_of_all_and_a_new_one_goes_on_with_those_of_its_number(op: OP) -> None:
    def refuse() -> None:
        signals.login_refused.send(None, reason=SimpleNamespace(code="x"))

    def next_process(number: int) -> Callable[..., tuple[str, str]]:
        signals.login_refused.receivers = []  # in a process of its own there would be none
        signals.login_refused.sender_receivers_cache.clear()
        return serve(process=number)

    first = serve(process=0)
    refuse()
    second = next_process(1)
    refuse()
    third = next_process(0)
    refuse()
    assert [read(ask()[1])["oidc_logins_total refused x"] for ask in (first, second, third)] == [3, 3, 3]


def test_the_process_that_has_heard_of_an_endpoint_last_says_whether_it_is_up(op: OP) -> None:
    ask = serve(process=0)
    signals.op_changed.send(None, endpoint="https://op.example.org/token?p=x", is_up=False)
    signals.op_changed.receivers = []
    signals.op_changed.sender_receivers_cache.clear()
    serve(process=1)
    assert read(ask()[1])["oidc_op_up https://op.example.org/token"] == 0
    signals.op_changed.send(None, endpoint="https://op.example.org/token", is_up=True)
    assert read(ask()[1])["oidc_op_up https://op.example.org/token"] == 1


@pytest.mark.parametrize("here", [("127.0.0.1", 8000), ("::1", 8000, 0, 0), "/run/site.sock", ""])
def test_the_site_itself_serves_no_numbers_whatever_a_request_says(here: object) -> None:
    claimed = {"HTTP_HOST": f"localhost:{PORT}", "SERVER_PORT": str(PORT), "PATH_INFO": "/metrics"}
    assert serve()(here, **claimed)[1] == "the site"


@pytest.mark.parametrize("peer", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_a_public_address_sees_no_numbers(peer: str) -> None:
    assert serve()(peer=peer) == ("403 Forbidden", "")


@pytest.mark.parametrize("peer", ["10.1.2.3", "100.64.0.9", "::1", "fd00::1", "::ffff:192.168.0.7"])
def test_a_private_address_sees_them(peer: str) -> None:
    status, text = serve()(("0.0.0.0", PORT), peer)
    assert status == "200 OK"
    assert "oidc_key_refreshes_total 0.0" in text


def test_without_metrics_nobody_listens_to_what_only_they_need() -> None:
    assert not [signal for signal in (signals.op_asked, signals.op_changed, signals.keys_fetched) if signal.receivers]
