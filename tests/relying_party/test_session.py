"""The session of a login: its keys, its times, its tokens, and how it ends."""

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import InvalidToken
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import oidc
from oidc import errors
from oidc.errors import LoginError
from oidc.internal import session
from oidc.internal.verification import Login
from oidc.models import LoginSession, SpentToken

ISSUER = "https://op.example.org"
CLAIMS = {"iss": ISSUER, "sub": "person-1", "sid": "sid-1", "auth_time": 1000, "acr": "gold", "nonce": "n"}
LOGIN = Login(CLAIMS, "id-token", "access-token", "refresh-token")
SOURCE = Path(oidc.__file__).parent


@pytest.fixture
def request_of_user(db: None) -> HttpRequest:
    """A request with a session of its own, before anybody logs in."""
    request = HttpRequest()
    request.session = SessionStore()
    return request


@pytest.fixture
def begin(request_of_user: HttpRequest) -> Callable[..., HttpRequest]:
    """Return a function that begins a session with `login` and returns the request with that session."""

    def begin(login: Login = LOGIN, since: datetime | None = None) -> HttpRequest:
        user, _ = get_user_model().objects.get_or_create(username="kim")
        user.backend = "tests.relying_party.stub.backends.Backend"
        session.begin(request_of_user, user, login, since)
        return request_of_user

    return begin


def store(**values: Any) -> SessionBase:
    """Return a session that is not saved."""
    made = SessionStore()
    made.update(values)
    return made


# Keys


def test_keys_are_those_that_mozilla_django_oidc_documents() -> None:
    assert session.EXPIRES_AT == "oidc_id_token_expiration"
    assert session.ACCESS_TOKEN == "oidc_access_token"
    assert session.ID_TOKEN == "oidc_id_token"


def keys() -> set[str]:
    return {value for value in vars(session).values() if isinstance(value, str) and value.startswith("oidc_")}


def test_no_other_module_names_a_key_of_the_session() -> None:
    """One owner: whoever needs something of a session calls a function of `oidc.internal.session`."""
    assert len(keys()) == 8
    bare = re.compile("|".join(rf"""["']{key}["']""" for key in keys()))
    used = re.compile(r"""\bsession(?:\[|\.(?:get|pop|setdefault)\()\s*["']""")
    files = [file for kind in ("*.py", "*.html") for file in SOURCE.rglob(kind) if file.name != "session.py"]
    assert len(files) > 30
    for file in files:
        text = file.read_text(encoding="utf-8")
        found = [match.group() for pattern in (bare, used) for match in pattern.finditer(text)]
        assert not found, f"{file.name} has {found}"


# Begin


def test_a_login_begins_a_session_with_a_key_that_nobody_knew(begin: Callable[..., HttpRequest]) -> None:
    """Session fixation: also for a user who logs in again, whose key Django keeps."""
    seen = {begin().session.session_key for _ in range(3)}
    assert len(seen) == 3
    assert None not in seen


def test_a_login_makes_one_session_and_commits_once(begin: Callable[..., HttpRequest]) -> None:
    get_user_model().objects.create(username="kim")
    with CaptureQueriesContext(connection) as queries:
        begin()
    written = [query["sql"] for query in queries if 'INSERT INTO "django_session"' in query["sql"]]
    assert len(written) == 1
    statements = [query["sql"].split()[0] for query in queries]
    # Of a test's own transaction these are parts: the rows of the login, and within them Django's session.
    assert statements.count("SAVEPOINT") == 2


def test_a_session_knows_whose_session_at_the_op_it_is(begin: Callable[..., HttpRequest]) -> None:
    request = begin()
    row = LoginSession.objects.get()
    assert row.session_key == request.session.session_key
    assert (row.issuer, row.subject, row.sid) == (ISSUER, "person-1", "sid-1")
    assert session.began_at_op(request.session)


def test_a_login_in_a_session_that_goes_on_forgets_the_former_one(begin: Callable[..., HttpRequest]) -> None:
    begin()
    request = begin(Login(CLAIMS | {"sid": "sid-2"}))
    row = LoginSession.objects.get()
    assert (row.session_key, row.sid) == (request.session.session_key, "sid-2")


@pytest.mark.parametrize("sid", ["a\0", "s" * 256, 7, "", None, ["sid"]])
def test_a_sid_that_cannot_be_kept_counts_as_none(begin: Callable[..., HttpRequest], sid: object) -> None:
    begin(Login(CLAIMS | {"sid": sid}))
    assert LoginSession.objects.get().sid == ""


@pytest.mark.parametrize(
    ("setting", "value", "key", "kept"),
    [
        ("OIDC_STORE_ID_TOKEN", True, session.ID_TOKEN, "id-token"),
        ("OIDC_STORE_ID_TOKEN", False, session.ID_TOKEN, None),
        ("OIDC_STORE_ACCESS_TOKEN", True, session.ACCESS_TOKEN, "access-token"),
        ("OIDC_STORE_ACCESS_TOKEN", False, session.ACCESS_TOKEN, None),
    ],
)
def test_tokens_are_kept_if_the_site_says_so(
    begin: Callable[..., HttpRequest], settings: Any, setting: str, value: bool, key: str, kept: str | None
) -> None:
    setattr(settings, setting, value)
    assert begin().session.get(key) == kept


def test_the_id_token_is_kept_for_logout_by_default_and_the_access_token_is_not(
    begin: Callable[..., HttpRequest],
) -> None:
    request = begin()
    assert session.id_token(request.session) == "id-token"
    assert session.ACCESS_TOKEN not in request.session


@pytest.mark.parametrize(("renewal", "is_kept"), [("refresh_token", True), ("redirect", False)])
def test_a_refresh_token_is_kept_encrypted_and_only_where_it_is_used(
    begin: Callable[..., HttpRequest], settings: Any, renewal: str, is_kept: bool
) -> None:
    settings.OIDC_RENEWAL = renewal
    request = begin()
    kept = LoginSession.objects.get().refresh_token
    assert "refresh-token" not in kept + str(dict(request.session))
    assert (session.decrypt(kept) if kept else "") == ("refresh-token" if is_kept else "")


# Extend and close


def test_a_renewal_keeps_key_and_age_and_moves_the_expiry(begin: Callable[..., HttpRequest], settings: Any) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = 900
    request = begin()
    key = request.session.session_key
    request.session[session.BEGAN_AT] = began = 1000.0
    request.session[session.EXPIRES_AT] = 1900.0
    session.extend(request, LOGIN)
    assert request.session.session_key == key
    assert request.session[session.BEGAN_AT] == began
    assert abs(request.session[session.EXPIRES_AT] - time.time() - 900) < 10


def test_what_a_renewal_leaves_out_stays_true(begin: Callable[..., HttpRequest]) -> None:
    request = begin()
    session.extend(request, Login({"iss": ISSUER, "sub": "person-1"}))
    assert [request.session[key] for key in (session.AUTH_TIME, session.ACR, session.NONCE)] == [1000, "gold", "n"]
    assert session.id_token(request.session) == "id-token"
    assert LoginSession.objects.get().sid == "sid-1"


def test_what_a_renewal_brings_replaces_what_there_was(begin: Callable[..., HttpRequest], settings: Any) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    request = begin()
    changes = {"sid": "sid-2", "auth_time": 2000, "acr": "silver"}
    session.extend(request, Login(CLAIMS | changes, "id-token-2", "", "refresh-token-2"))
    row = LoginSession.objects.get()
    assert [request.session[key] for key in (session.AUTH_TIME, session.ACR)] == [2000, "silver"]
    assert session.id_token(request.session) == "id-token-2"
    assert (row.sid, session.decrypt(row.refresh_token)) == ("sid-2", "refresh-token-2")


def test_another_login_in_the_session_takes_nothing_over_from_the_former_one(
    begin: Callable[..., HttpRequest], settings: Any
) -> None:
    """Django keeps the session of a user who logs in again; its strength was that of the former login."""
    settings.OIDC_STORE_ACCESS_TOKEN = True
    begin()
    made = begin(Login({"iss": ISSUER, "sub": "person-1"})).session
    left = (session.AUTH_TIME, session.ACR, session.NONCE, session.ID_TOKEN, session.ACCESS_TOKEN)
    assert not any(made.get(key) for key in left)


@pytest.mark.parametrize(
    ("said", "acr"),
    [
        pytest.param({}, "gold", id="nothing"),
        pytest.param({"auth_time": 1000}, "gold", id="the-same-authentication"),
        pytest.param({"auth_time": 2000}, None, id="another-authentication"),
        pytest.param({"auth_time": 2000, "acr": "silver"}, "silver", id="another-authentication-and-how"),
    ],
)
def test_the_strength_of_an_authentication_is_not_taken_for_that_of_another(
    begin: Callable[..., HttpRequest], said: dict[str, Any], acr: str | None
) -> None:
    """A silent renewal may tell of a later login at the OP, with a password only."""
    request = begin()
    session.extend(request, Login({"iss": ISSUER, "sub": "person-1"} | said))
    assert request.session.get(session.ACR) == acr


def test_only_a_login_or_a_renewal_opens_a_closed_session(begin: Callable[..., HttpRequest]) -> None:
    request = begin()
    for open_again in (lambda: session.extend(request, LOGIN), begin):
        session.close(request.session)
        session.pause(request.session)
        assert not session.is_in_grace(request.session, time.time())
        open_again()
        assert session.is_in_grace(request.session, time.time())


def test_closing_changes_the_key_so_that_nobody_writes_an_older_copy_back(begin: Callable[..., HttpRequest]) -> None:
    made = begin().session
    made.save()
    older = SessionStore(made.session_key)
    older["of the site"] = 1
    session.close(made)
    with pytest.raises(UpdateError):
        older.save()
    assert session.CLOSED in SessionStore(made.session_key)
    assert LoginSession.objects.get().session_key == made.session_key


# A logout while a login is being finished


@pytest.mark.parametrize(
    ("token", "is_meant"),
    [
        ({"subject": "person-1"}, True),
        ({"sid": "sid-1"}, True),
        ({"subject": "person-1", "sid": "sid-1"}, True),
        ({"subject": "person-2"}, False),
        ({"sid": "sid-2"}, False),
        ({"subject": "person-1", "sid": "sid-2"}, False),
    ],
)
def test_a_login_does_not_outlive_a_logout_token_that_came_meanwhile(
    begin: Callable[..., HttpRequest], token: dict[str, str], is_meant: bool
) -> None:
    since = timezone.now()
    SpentToken.objects.create(digest="d", expires=since, **token)
    refused = False
    try:
        begin(since=since)
    except LoginError as error:
        refused = error.reason is errors.LOGGED_OUT
    assert refused is is_meant
    assert LoginSession.objects.exists() is not is_meant


def test_a_logout_token_that_came_before_the_login_is_not_about_it(begin: Callable[..., HttpRequest]) -> None:
    SpentToken.objects.create(digest="d", expires=timezone.now(), subject="person-1")
    begin(since=timezone.now())
    assert LoginSession.objects.exists()


def test_it_costs_one_query(begin: Callable[..., HttpRequest], django_assert_num_queries: Any) -> None:
    begin()
    with CaptureQueriesContext(connection) as without:
        begin()
    with django_assert_num_queries(len(without) + 1):
        begin(since=timezone.now())


# What an old database may have


@pytest.mark.parametrize("value", ["soon", None, [], {}, True, 1e300, 2**70, float("nan"), float("inf")])
@pytest.mark.parametrize("key", [session.BEGAN_AT, session.EXPIRES_AT])
def test_a_time_that_is_none_makes_a_session_broken(key: str, value: object) -> None:
    assert session.is_broken(store(**{session.BEGAN_AT: 1.0, session.EXPIRES_AT: 1} | {key: value}))


def test_a_user_of_another_model_makes_a_session_broken() -> None:
    assert session.is_broken(store(_auth_user_id="5d3e8a1c-uuid"))


@pytest.mark.parametrize("values", [{}, {session.BEGAN_AT: 1.5, session.EXPIRES_AT: 0}, {"_auth_user_id": "7"}])
def test_other_sessions_are_not_broken(values: dict[str, Any]) -> None:
    assert not session.is_broken(store(**values))


@pytest.mark.parametrize("kept", [None, 7, {}, "é", "\ud800"])
def test_an_id_token_that_is_none_is_no_hint(kept: object) -> None:
    assert session.id_token(store(**{session.ID_TOKEN: kept})) == ""


# Times


@pytest.mark.parametrize(("limit", "age", "is_over"), [(3600, 3600, False), (3600, 3601, True), (0, 10**9, False)])
def test_how_old_a_session_may_become(settings: Any, limit: int, age: int, is_over: bool) -> None:
    settings.OIDC_SESSION_MAX_SECONDS = limit
    assert session.is_over(store(**{session.BEGAN_AT: 0}), age) is is_over


@pytest.mark.parametrize(
    ("interval", "values", "now", "is_due", "is_in_grace"),
    [
        pytest.param(900, {session.EXPIRES_AT: 1000}, 999, False, True, id="renewed-lately"),
        pytest.param(900, {session.EXPIRES_AT: 1000}, 1000, True, True, id="due"),
        pytest.param(900, {session.EXPIRES_AT: 1000}, 1599, True, True, id="at-the-end-of-the-grace-period"),
        pytest.param(900, {session.EXPIRES_AT: 1000}, 1600, True, False, id="overdue"),
        pytest.param(900, {session.EXPIRES_AT: 1000, session.CLOSED: True}, 0, True, False, id="closed"),
        pytest.param(900, {}, 100, True, True, id="of-a-site-that-did-not-renew-at-login"),
        pytest.param(0, {session.EXPIRES_AT: 1000}, 10**9, False, False, id="never-renewed"),
        pytest.param(0, {session.EXPIRES_AT: 1000, session.CLOSED: True}, 0, True, False, id="never-renewed-closed"),
    ],
)
def test_when_a_session_is_due_and_how_long_it_may_go_on(
    settings: Any, interval: int, values: dict[str, Any], now: float, is_due: bool, is_in_grace: bool
) -> None:
    settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS, settings.OIDC_RENEWAL_GRACE_SECONDS = interval, 600
    made = store(**{session.BEGAN_AT: 100} | values)
    assert session.is_due(made, now) is is_due
    assert session.is_in_grace(made, now) is is_in_grace


@pytest.mark.parametrize(
    ("values", "max_age", "acr_values", "is_fresh"),
    [
        pytest.param({session.AUTH_TIME: 1000}, 300, (), True, id="now"),
        pytest.param({session.AUTH_TIME: 640}, 300, (), True, id="within-max-age-and-leeway"),
        pytest.param({session.AUTH_TIME: 639}, 300, (), False, id="too-old"),
        pytest.param({session.AUTH_TIME: 1060}, 300, (), True, id="a-clock-that-is-ahead"),
        pytest.param({session.AUTH_TIME: 1061}, 300, (), False, id="in-the-future"),
        pytest.param({session.AUTH_TIME: 1e300}, 300, (), False, id="far-in-the-future"),
        pytest.param({session.AUTH_TIME: "1000"}, 300, (), False, id="text"),
        pytest.param({session.AUTH_TIME: True}, 300, (), False, id="boolean"),
        pytest.param({session.AUTH_TIME: None}, 300, (), False, id="null"),
        pytest.param({}, 300, (), False, id="the-op-did-not-say"),
        pytest.param({}, None, (), True, id="nothing-is-asked-for"),
        pytest.param({session.AUTH_TIME: 940}, 0, (), True, id="max-age-0-has-leeway-too"),
        pytest.param({session.AUTH_TIME: 939}, 0, (), False, id="max-age-0"),
        pytest.param({session.ACR: "gold"}, None, ("gold", "platinum"), True, id="strong"),
        pytest.param({session.ACR: "silver"}, None, ("gold", "platinum"), False, id="weak"),
        pytest.param({session.ACR: ["gold"]}, None, ("gold",), False, id="acr-is-not-text"),
        pytest.param({}, None, ("gold",), False, id="the-op-did-not-say-how"),
        pytest.param({session.ACR: "gold", session.AUTH_TIME: 1}, 300, ("gold",), False, id="strong-but-too-old"),
        pytest.param({session.ACR: "gold", session.AUTH_TIME: 1000}, 300, ("gold",), True, id="strong-and-now"),
    ],
)
def test_how_fresh_a_login_is(
    values: dict[str, Any], max_age: int | None, acr_values: tuple[str, ...], is_fresh: bool
) -> None:
    assert session.is_fresh(values, max_age, acr_values, now=1000) is is_fresh


def test_a_refreshed_identity_is_held_against_what_the_login_said(begin: Callable[..., HttpRequest]) -> None:
    said = session.what_login_said(begin().session, "person-1")
    assert said == {"sub": "person-1", "auth_time": 1000, "nonce": "n"}


def test_what_the_login_did_not_say_is_none(begin: Callable[..., HttpRequest]) -> None:
    request = begin(Login({"iss": ISSUER, "sub": "person-1"}))
    assert session.what_login_said(request.session, "p") == {"sub": "p", "auth_time": None, "nonce": None}


# Refresh tokens


@pytest.fixture
def refreshable(begin: Callable[..., HttpRequest], settings: Any) -> SessionBase:
    """A session with a refresh token."""
    settings.OIDC_RENEWAL = "refresh_token"
    return begin().session


def test_a_refresh_token_is_given_to_one_request(refreshable: SessionBase) -> None:
    assert session.claim_refresh_token(refreshable) == ("person-1", "refresh-token")
    assert session.claim_refresh_token(refreshable) is None
    assert session.is_paused(refreshable)


def test_a_request_that_never_came_back_blocks_the_refresh_token_for_a_minute(refreshable: SessionBase) -> None:
    session.claim_refresh_token(refreshable)
    until = LoginSession.objects.get().paused_until
    assert until is not None
    assert timedelta(seconds=50) < until - timezone.now() <= session.LEASE
    LoginSession.objects.update(paused_until=timezone.now())
    assert session.claim_refresh_token(refreshable) == ("person-1", "refresh-token")


@pytest.mark.parametrize("stop", [session.pause, lambda store: session.extend(with_session(store), LOGIN)])
def test_after_an_outage_or_a_renewal_nothing_is_asked_for_half_a_minute(
    refreshable: SessionBase, stop: Callable[[SessionBase], None]
) -> None:
    stop(refreshable)
    assert session.is_paused(refreshable)
    assert session.claim_refresh_token(refreshable) is None
    until = LoginSession.objects.get().paused_until
    assert until is not None
    assert timedelta(seconds=20) < until - timezone.now() <= session.PAUSE


def with_session(made: SessionBase) -> HttpRequest:
    request = HttpRequest()
    request.session = made
    return request


def test_a_refresh_token_that_was_dropped_is_gone(refreshable: SessionBase) -> None:
    session.claim_refresh_token(refreshable)
    session.drop_refresh_token(refreshable)
    assert session.claim_refresh_token(refreshable) is None
    assert not session.is_paused(refreshable)


@pytest.mark.parametrize("stored", ["damaged", "gAAAAAB", "é"])
def test_a_refresh_token_that_cannot_be_read_is_dropped(refreshable: SessionBase, stored: str) -> None:
    LoginSession.objects.update(refresh_token=stored)
    assert session.claim_refresh_token(refreshable) is None
    assert LoginSession.objects.get().refresh_token == ""


def test_a_session_without_a_refresh_token_has_none_to_give(begin: Callable[..., HttpRequest]) -> None:
    made = begin().session
    assert session.claim_refresh_token(made) is None
    assert not session.is_paused(made)


def test_the_cipher_hides_a_token_and_gives_it_back() -> None:
    first, second = session.encrypt("token é"), session.encrypt("token é")
    assert first != second
    assert "token" not in first
    assert session.decrypt(first) == session.decrypt(second) == "token é"


def test_a_new_secret_key_reads_old_tokens_through_its_fallbacks(settings: Any) -> None:
    stored = session.encrypt("token")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another-key", ["a-third-key", settings.SECRET_KEY]
    assert session.decrypt(stored) == "token"


def test_tokens_are_written_with_the_new_key(settings: Any) -> None:
    former, settings.SECRET_KEY = settings.SECRET_KEY, "another-key"
    settings.SECRET_KEY_FALLBACKS = [former]
    stored = session.encrypt("token")
    settings.SECRET_KEY_FALLBACKS = []
    assert session.decrypt(stored) == "token"


def test_without_the_former_key_old_tokens_cannot_be_read(settings: Any) -> None:
    stored, settings.SECRET_KEY = session.encrypt("token"), "another-key"
    with pytest.raises(InvalidToken):
        session.decrypt(stored)


# End


@pytest.fixture
def four_sessions(db: None) -> None:
    """Two sessions of one person, one without a name at the OP, one of another person; each with a row and a store."""
    for subject, sid in (("kim", "1"), ("kim", "2"), ("kim", ""), ("lee", "3")):
        made = SessionStore()
        made["who"] = f"{subject}{sid}"
        made.create()
        LoginSession.objects.create(session_key=made.session_key, issuer=ISSUER, subject=subject, sid=sid)


@pytest.mark.parametrize(
    ("named", "ended"),
    [
        pytest.param({"subject": "kim"}, {"kim1", "kim2", "kim"}, id="all-of-a-person"),
        pytest.param({"sid": "1"}, {"kim1"}, id="one"),
        pytest.param({"subject": "kim", "sid": "1"}, {"kim1", "kim"}, id="one-and-any-without-a-name"),
        pytest.param({"subject": "lee", "sid": "1"}, set(), id="of-another-person"),
        pytest.param({"subject": "KIM"}, set(), id="letter-case-counts"),
        pytest.param({"subject": "nobody"}, set(), id="of-nobody"),
        pytest.param({"sid": "4"}, set(), id="unknown"),
        pytest.param({}, set(), id="nothing-is-named"),
        pytest.param({"subject": "", "sid": ""}, set(), id="empty-names"),
    ],
)
def test_which_sessions_end(four_sessions: None, named: dict[str, str], ended: set[str]) -> None:
    before = set(LoginSession.objects.values_list("session_key", flat=True))
    names = {key: SessionStore(key)["who"] for key in before}
    assert session.end(ISSUER, **named) == len(ended)
    left = set(LoginSession.objects.values_list("session_key", flat=True))
    assert {names[key] for key in before - left} == ended
    assert {key for key in before if SessionStore().exists(key)} == left


def test_sessions_of_another_issuer_go_on(four_sessions: None) -> None:
    assert session.end("https://other.example.org", subject="kim") == 0
    assert LoginSession.objects.count() == 4


def test_ending_a_session_takes_three_queries_however_many_there_are(
    db: None, django_assert_num_queries: Callable[[int], Any]
) -> None:
    rows = (LoginSession(session_key=f"session-{i}", issuer=ISSUER, subject="s", sid=f"{i}") for i in range(2000))
    LoginSession.objects.bulk_create(rows)
    with django_assert_num_queries(3):
        assert session.end(ISSUER, sid="77") == 1


@pytest.mark.parametrize("named", [{"sid": "1"}, {"subject": "1"}])
def test_ending_sessions_looks_at_an_index(db: None, named: dict[str, str]) -> None:
    if connection.vendor == "postgresql":  # it may read a small table as a whole
        connection.cursor().execute("SET LOCAL enable_seqscan = off")
    plan = LoginSession.objects.filter(issuer=ISSUER, **named).explain()
    assert f"oidc_session_{next(iter(named))}" in plan


# Following and forgetting


def test_a_session_whose_key_has_changed_is_still_known(begin: Callable[..., HttpRequest]) -> None:
    """Django changes it when a password is set (`update_session_auth_hash`)."""
    made = begin().session
    former = made.session_key
    made.cycle_key()
    session.follow_key(made, former)
    assert LoginSession.objects.get().session_key == made.session_key
    assert session.end(ISSUER, sid="sid-1") == 1


def test_a_session_whose_key_changes_while_it_is_ended_ends_all_the_same(
    begin: Callable[..., HttpRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = begin().session
    former, read = made.session_key, session.stored

    def change_key_first(key: str | None) -> SessionBase:
        monkeypatch.undo()
        made.cycle_key()
        session.follow_key(made, former)
        return read(key)

    monkeypatch.setattr(session, "stored", change_key_first)
    assert session.end(ISSUER, sid="sid-1") == 1
    assert not LoginSession.objects.exists()
    assert not made.exists(str(made.session_key))


def test_a_session_whose_key_changes_after_it_has_ended_ends_too(begin: Callable[..., HttpRequest]) -> None:
    made = begin().session
    former = made.session_key
    session.end(ISSUER, sid="sid-1")
    made.cycle_key()
    session.follow_key(made, former)
    assert not made.exists(str(made.session_key))
    assert not made.modified, "or the middleware would save it again"


def test_a_session_that_no_op_began_takes_over_nothing(begin: Callable[..., HttpRequest]) -> None:
    former = begin().session.session_key
    other = SessionStore()
    other.create()
    session.follow_key(other, former)
    assert LoginSession.objects.get().session_key == former


def test_a_session_that_ends_here_is_forgotten(begin: Callable[..., HttpRequest]) -> None:
    made = begin().session
    session.forget(None)
    session.forget("another")
    assert LoginSession.objects.exists()
    session.forget(made.session_key)
    assert not LoginSession.objects.exists()


def test_what_is_over_is_forgotten_together(begin: Callable[..., HttpRequest]) -> None:
    kept = begin().session
    kept.save()
    LoginSession.objects.create(session_key="ended", issuer=ISSUER, subject="lee")
    LoginSession.objects.filter(session_key="ended").update(began=timezone.now() - timedelta(days=1))
    hour = timedelta(hours=1)
    SpentToken.objects.create(digest="expired", expires=timezone.now() - hour)
    SpentToken.objects.create(digest="spent", expires=timezone.now() + hour)
    assert session.forget_ended() == 2
    assert [row.session_key for row in LoginSession.objects.all()] == [kept.session_key]
    assert [row.digest for row in SpentToken.objects.all()] == ["spent"]


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
def test_every_session_engine_ends_sessions(db: None, settings: Any, tmp_path: Path, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    made = import_module(settings.SESSION_ENGINE).SessionStore()
    made.create()
    LoginSession.objects.create(session_key=made.session_key, issuer=ISSUER, subject="kim")
    assert session.forget_ended() == 0
    assert session.end(ISSUER, subject="kim") == 1
    assert not made.exists(made.session_key)


@pytest.mark.parametrize(
    ("value", "is_name"),
    [("a", True), ("é", True), ("a" * 255, True), ("a" * 256, False), ("", False), ("a\0", False), ("a\n", False)]
    + [(value, False) for value in (None, 7, True, ["a"], {})],
)
def test_what_can_name_a_session(value: object, is_name: bool) -> None:
    assert session.is_name(value) is is_name
