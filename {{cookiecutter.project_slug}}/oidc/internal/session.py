"""The session of a login: the only owner of its keys, its times, its tokens and their cipher.

A session has no key of this module if no OP began it (a test's `force_login`, a password): then nothing here
limits, renews or ends it.
"""

import hashlib
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeGuard

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.contrib import auth
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from oidc import errors
from oidc.errors import LoginError
from oidc.internal import shared_cache
from oidc.internal.conf import conf
from oidc.internal.token_rules import LEEWAY, is_time
from oidc.internal.verification import Login
from oidc.models import LoginSession, SpentToken

# Names that mozilla-django-oidc documents.
EXPIRES_AT = "oidc_id_token_expiration"
ACCESS_TOKEN = "oidc_access_token"
ID_TOKEN = "oidc_id_token"
# Names of this module.
BEGAN_AT = "oidc_login_at"
AUTH_TIME = "oidc_auth_time"
ACR = "oidc_acr"
NONCE = "oidc_nonce"
CLOSED = "oidc_closed"
KEYS = (BEGAN_AT, EXPIRES_AT, AUTH_TIME, ACR, NONCE, ACCESS_TOKEN, ID_TOKEN, CLOSED)
# Those that hold a time, in seconds since the epoch.
TIMES = (BEGAN_AT, EXPIRES_AT, AUTH_TIME)

PAUSE = timedelta(seconds=30)
# What lasts for longer than a pause is the lease of a request that is asking the OP.
LEASE = timedelta(seconds=60)
MAX_NAME_CHARACTERS = 255
# Rows that are deleted together: few enough that nobody waits for them.
BATCH = 500


def begin(request: HttpRequest, user: Any, login: Login, since: datetime | None = None) -> None:
    """Log `user` in with a new session key, and remember whose session at the OP it is.

    Raises `LoginError` (LOGGED_OUT) if the OP has ended the person's session since the login was asked for at `since`.
    """
    former_key = request.session.session_key
    names = {"issuer": login.claims["iss"], "subject": login.claims["sub"]}
    with transaction.atomic():  # commits once what is four rows
        # Django keeps what the former login said, and also the key if the same user logs in again (session fixation).
        release(request.session)
        auth.login(request, user)
        if request.session.session_key in (None, former_key):
            request.session.cycle_key()
        request.session[BEGAN_AT] = time.time()
        _store(request.session, login)
        row = LoginSession.objects.create(session_key=str(request.session.session_key), **names, **_kept(login))
    if since is None:
        return
    # First write, then read: whoever obeys a logout token does the same, so that one of the two sees the other.
    meanwhile = [(spent.subject, spent.sid) for spent in SpentToken.objects.filter(at__gte=since)]
    ended_at = shared_cache.cached("get", _note(row.sid), 0) if conf.OIDC_FRONTCHANNEL_LOGOUT else 0
    meanwhile += [("", row.sid)] if ended_at > since.timestamp() else []
    for subject, sid in meanwhile:
        end(row.issuer, subject=subject, sid=sid)
    if meanwhile and not LoginSession.objects.filter(pk=row.pk).exists():
        auth.logout(request)
        raise LoginError(errors.LOGGED_OUT, "a logout token came while the login was being finished", user=user)


def extend(request: HttpRequest, login: Login) -> None:
    """Let the session go on after a renewal: its key and its CSRF token stay, so that open forms still work.

    Raises `LoginError` (LOGGED_OUT) if the OP or the person has ended it meanwhile.
    """
    _store(request.session, login)
    try:
        # Before the row says so: whoever waits for the row then reads the session.
        request.session.save()
    except UpdateError as error:
        auth.logout(request)
        raise LoginError(errors.LOGGED_OUT, "the session ended while it was renewed") from error
    _row(request.session).update(paused_until=timezone.now() + PAUSE, **_kept(login))


def release(session: SessionBase) -> None:
    """Make it a session that no OP began, as one after a login by password is."""
    forget(session.session_key)
    for key in KEYS:
        session.pop(key, None)


def close(session: SessionBase) -> None:
    """Close a session whose person the OP does not vouch for any more: only its word opens it again.

    It gets a new key, because another request that has read it before would write it back as it was.
    """
    former_key = session.session_key
    session.cycle_key()
    session[CLOSED] = True
    session.save()
    follow_key(session, former_key)


def is_broken(session: SessionBase) -> bool:
    """Tell whether its user or its times are nothing that this site writes, as after a change of the user model."""
    try:
        get_user_model()._meta.pk.to_python(session.get(auth.SESSION_KEY))
    except ValidationError:
        return True
    return not all(is_time(session.get(key, 0)) for key in (BEGAN_AT, EXPIRES_AT))


def is_closed(session: SessionBase) -> bool:
    """Tell whether the OP has said that it does not vouch for the person any more."""
    return CLOSED in session


def began_at_op(session: SessionBase) -> bool:
    """Tell whether a login at the OP began the session."""
    return BEGAN_AT in session


def is_over(session: SessionBase, now: float) -> bool:
    """Tell whether the session is older than OIDC_SESSION_MAX_SECONDS (0: any age)."""
    return bool(conf.OIDC_SESSION_MAX_SECONDS) and now - session[BEGAN_AT] > conf.OIDC_SESSION_MAX_SECONDS


def is_due(session: SessionBase, now: float) -> bool:
    """Tell whether the OP has to be asked again, OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS after it last was (0: never)."""
    return CLOSED in session or (bool(conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS) and now >= _expiry(session))


def is_in_grace(session: SessionBase, now: float) -> bool:
    """Tell whether a session that is due may go on for a while: never after the OP has said no."""
    return CLOSED not in session and now < _expiry(session) + conf.OIDC_RENEWAL_GRACE_SECONDS


def is_fresh(session: Mapping[str, Any], max_age: float | None, acr_values: tuple[str, ...], now: float) -> bool:
    """Tell whether the login is at most `max_age` seconds old, with one of `acr_values`, by what the OP has said."""
    if acr_values and session.get(ACR) not in acr_values:
        return False
    since: object = session.get(AUTH_TIME)
    return max_age is None or (is_time(since) and bool(now - max_age - LEEWAY <= since <= now + LEEWAY))


def id_token(session: SessionBase) -> str:
    """Return the ID Token of the login, "" where it is not kept (OIDC_STORE_ID_TOKEN)."""
    kept = session.get(ID_TOKEN)
    return kept if isinstance(kept, str) and kept.isascii() else ""


def what_login_said(session: SessionBase, subject: str) -> dict[str, Any]:
    """Return what a refreshed ID Token has to say again (Core 12.2)."""
    return {"sub": subject, "auth_time": session.get(AUTH_TIME), "nonce": session.get(NONCE)}


def is_paused(session: SessionBase) -> bool:
    """Tell whether a request of this session is asking the OP now, or the OP could not say anything just now."""
    return _row(session).filter(paused_until__gt=timezone.now()).exists()


def is_being_renewed(session: SessionBase) -> bool:
    """Tell whether another request has the refresh token of this session and has not come back yet."""
    return _row(session).filter(paused_until__gt=timezone.now() + PAUSE).exists()


def pause(session: SessionBase) -> bool:
    """Ask the OP nothing for this session for half a minute, in any process; tell whether it is known at all."""
    return bool(_row(session).update(paused_until=timezone.now() + PAUSE))


def claim_refresh_token(session: SessionBase) -> tuple[str, str] | None:
    """Return the subject and the refresh token of the session to the one request that may use it now, else None.

    The others find the session paused. A token that no SECRET_KEY opens is dropped.
    """
    now = timezone.now()
    with_token = _row(session).exclude(refresh_token="")
    if not with_token.filter(Q(paused_until=None) | Q(paused_until__lte=now)).update(paused_until=now + LEASE):
        return None
    # Gone, if the OP or the person ends the session this very moment.
    if (row := with_token.first()) is None:
        return None
    try:
        return row.subject, decrypt(row.refresh_token)
    except InvalidToken:
        drop_refresh_token(session)
        return None


def keep_refresh_token(session: SessionBase, token: str) -> None:
    """Keep the refresh token that has come in place of the former one, which an OP may not take again."""
    if token:
        _row(session).update(refresh_token=encrypt(token))


def drop_refresh_token(session: SessionBase) -> None:
    """Forget a refresh token that is of no use any more."""
    _row(session).update(refresh_token="", paused_until=None)


def end(issuer: str, *, subject: str = "", sid: str = "", before: datetime | None = None) -> int:
    """End the sessions of a person, or only the one that the OP calls `sid`; return how many there were.

    Those that have begun after `before` go on.
    """
    if not subject and not sid:
        return 0
    found = LoginSession.objects.filter(issuer=issuer, **({"subject": subject} if subject else {}))
    if sid:
        # A session whose name the OP did not say at login may be the one that it means.
        found = found.filter(Q(sid=sid) | Q(sid="") if subject else Q(sid=sid))
    if before:
        found = found.filter(began__lte=before)
    ended = 0
    while keys := list(found.values_list("session_key", flat=True)):
        for key in keys:
            stored(key).delete()
        deleted, _ = LoginSession.objects.filter(session_key__in=keys).delete()
        ended += deleted
        if deleted == len(keys):
            break
        # A request has changed the key of its session meanwhile.
    return ended


def note_end(sid: str) -> None:
    """Note that a login that is being finished must not begin `sid`: in the cache, as anybody can say so in a frame."""
    shared_cache.cached("set", _note(sid), time.time(), LEASE.total_seconds())


def stored(session_key: str | None) -> SessionBase:
    """Return the session with a key as it is stored now."""
    store: SessionBase = import_module(conf.SESSION_ENGINE).SessionStore(session_key)
    return store


def forget(session_key: str | None) -> None:
    """Drop what is remembered of a session that ends here."""
    if session_key:
        LoginSession.objects.filter(session_key=session_key).delete()


def follow_key(session: SessionBase, former_key: str | None) -> None:
    """Go on knowing a session whose key was changed meanwhile, as Django does when a password is set."""
    if is_name(former_key) and session.session_key and session.session_key != former_key and began_at_op(session):
        # A login in place of a session that was gone already has a row of its own by now.
        own_row = LoginSession.objects.filter(session_key=session.session_key)
        former_row = LoginSession.objects.filter(~Exists(own_row), session_key=former_key)
        if not former_row.update(session_key=session.session_key) and not own_row.exists():
            # It ended meanwhile, or another request has changed its key too and the browser gets that one.
            stored(session.session_key).delete()
            session.modified = False


def forget_ended() -> int:
    """Delete sessions that have expired or are over, what is remembered of them, and logout tokens that have expired.

    Return how many. It takes as long as there is to delete, in batches, so that no login waits for it.
    """
    sessions, now = stored(None), timezone.now()
    ended, table = 0, getattr(sessions, "model", None)
    if table is None:
        sessions.clear_expired()
    else:
        # No request that has read a session lasts for an hour, and could save it.
        for keys in in_batches(table.objects.filter(expire_date__lt=now - timedelta(hours=1)).order_by("expire_date")):
            table.objects.filter(pk__in=keys).delete()
            ended += LoginSession.objects.filter(session_key__in=keys).delete()[0]
    age = timedelta(seconds=conf.OIDC_SESSION_MAX_SECONDS or conf.SESSION_COOKIE_AGE)
    old = LoginSession.objects.filter(began__lt=now - age).order_by("began")
    if not conf.OIDC_SESSION_MAX_SECONDS:
        gone = [pk for pk, key in old.values_list("pk", "session_key") if not sessions.exists(key)]
        old = LoginSession.objects.filter(pk__in=gone)
    for keys in in_batches(old, "session_key"):
        if table is not None:
            table.objects.filter(pk__in=keys).delete()
        ended += LoginSession.objects.filter(session_key__in=keys).delete()[0]
    for keys in in_batches(SpentToken.objects.filter(expires__lt=now).order_by("expires")):
        ended += SpentToken.objects.filter(pk__in=keys).delete()[0]
    return ended


def in_batches(found: QuerySet[Any], name: str = "pk") -> Iterator[list[Any]]:
    """Yield a field of the first rows until none is left; who asks for more has deleted them.

    In between others have as much time: SQLite lets in who asks first, and who waits asks seldom.
    """
    while values := list(found.values_list(name, flat=True)[:BATCH]):
        began = time.monotonic()
        yield values
        time.sleep(time.monotonic() - began)


def is_name(value: object) -> TypeGuard[str]:
    """Tell whether a claim can name a session or a token in the database: text, neither empty nor too long."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS and value.isprintable()


def encrypt(token: str) -> str:
    """Return a refresh token as it may be kept in the database."""
    return _cipher(conf.SECRET_KEY, *conf.SECRET_KEY_FALLBACKS).encrypt(token.encode()).decode()


def decrypt(text: str) -> str:
    """Return what `encrypt` was given; raises `InvalidToken` if no key of the site fits."""
    return _cipher(conf.SECRET_KEY, *conf.SECRET_KEY_FALLBACKS).decrypt(text.encode()).decode()


def _store(session: SessionBase, login: Login) -> None:
    session.pop(CLOSED, None)
    session[EXPIRES_AT] = time.time() + conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS
    if login.claims.get("auth_time", session.get(AUTH_TIME)) != session.get(AUTH_TIME):
        # Another authentication at the OP: it was as strong as it says itself, or nobody knows.
        session.pop(ACR, None)
    # A refreshed ID Token may leave out what the first one said, and that stays true.
    for key, claim in ((AUTH_TIME, "auth_time"), (ACR, "acr"), (NONCE, "nonce")):
        if claim in login.claims:
            session[key] = login.claims[claim]
    if conf.OIDC_STORE_ACCESS_TOKEN:
        session[ACCESS_TOKEN] = login.access_token
    if conf.OIDC_STORE_ID_TOKEN and login.id_token:
        session[ID_TOKEN] = login.id_token


def _kept(login: Login) -> dict[str, str]:
    """Return what the database keeps of a login; what did not come leaves the row as it is."""
    sid = login.claims.get("sid")
    kept = {"sid": sid} if is_name(sid) else {}
    if conf.OIDC_RENEWAL == "refresh_token" and login.refresh_token:
        kept["refresh_token"] = encrypt(login.refresh_token)
    return kept


def _note(sid: str) -> str:
    return f"oidc:ended:{hashlib.sha256(sid.encode()).hexdigest()}"


def _expiry(session: SessionBase) -> float:
    return float(session.get(EXPIRES_AT, session[BEGAN_AT]))


def _row(session: SessionBase) -> QuerySet[LoginSession]:
    return LoginSession.objects.filter(session_key=session.session_key)


@lru_cache(maxsize=4)
def _cipher(*keys: str) -> MultiFernet:
    digests = (hashlib.sha256(b"oidc.refresh" + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])
