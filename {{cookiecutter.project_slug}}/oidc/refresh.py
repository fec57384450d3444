"""Renewal in the background with a refresh token (OpenID Connect Core 12), where OIDC_RENEWAL asks for it."""

import hashlib
import logging
import time
from base64 import urlsafe_b64encode
from datetime import timedelta
from enum import Enum, auto

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.contrib import auth
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from oidc.conf import conf
from oidc.errors import OUTAGES, LoginError, Reason
from oidc.models import LoginSession

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
# A request that began before the renewal was done must not renew again, nor all ask an OP that is down.
PAUSE = timedelta(seconds=10)


class Outcome(Enum):
    """How a renewal went."""

    RENEWED = auto()
    IMPOSSIBLE = auto()  # no refresh token, or one that is over
    LATER = auto()  # another request of this session is at it, or the OP is down
    REFUSED = auto()  # by the OP, or by the user policy


def renew(request: HttpRequest) -> Outcome:
    """Renew the session of `request`, one renewal at a time across all processes; rights are applied anew."""
    if conf.OIDC_RENEWAL != "refresh_token":
        return Outcome.IMPOSSIBLE
    found = LoginSession.objects.filter(session_key=request.session.session_key).exclude(refresh_token="")
    if not found.exists():
        return Outcome.IMPOSSIBLE
    now = timezone.now()
    is_free = Q(refreshing_until=None) | Q(refreshing_until__lt=now)
    if not found.filter(is_free).update(refreshing_until=now + LEASE):
        return Outcome.LATER
    row = found.first()
    if row is None:
        # The OP or the person has ended the session this very moment.
        return Outcome.IMPOSSIBLE
    try:
        token = decrypt(row.refresh_token)
        backend = auth.load_backend(request.session[auth.BACKEND_SESSION_KEY])
        user, response = backend.renew(request, token, row.subject)
    except InvalidToken:
        # The SECRET_KEY is another one by now.
        found.update(refresh_token="", refreshing_until=None)
        return Outcome.IMPOSSIBLE
    except LoginError as error:
        # A refresh token that is over says nothing about the person: the browser makes the round trip.
        is_over = error.reason is Reason.CODE_REFUSED
        found.update(refresh_token="" if is_over else row.refresh_token, refreshing_until=timezone.now() + PAUSE)
        logger.warning("renewal failed reason=%s user=%s detail=%s", error.reason.code, request.user.pk, error.detail)
        if is_over:
            return Outcome.IMPOSSIBLE
        return Outcome.LATER if error.reason in OUTAGES else Outcome.REFUSED
    if user != request.user or not user.is_active:
        logger.warning("renewal refused user=%s: another user, or deactivated", request.user.pk)
        return Outcome.REFUSED
    rotated = response.get("refresh_token")
    found.update(
        refresh_token=encrypt(rotated) if isinstance(rotated, str) and rotated else row.refresh_token,
        refreshing_until=timezone.now() + PAUSE,
    )
    request.session.update(request.oidc_tokens)
    request.session["oidc_id_token_expiration"] = time.time() + conf.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS
    # The rights may have changed with the claims.
    request.user = user
    logger.info("login renewed user=%s issuer=%s", user.pk, conf.OIDC_OP_ISSUER)
    return Outcome.RENEWED


def encrypt(token: str) -> str:
    """Return a refresh token as it may stand in the database."""
    return _cipher().encrypt(token.encode()).decode()


def decrypt(text: str) -> str:
    """Return what `encrypt` was given; raises `InvalidToken` if no key of the site fits."""
    return _cipher().decrypt(text.encode()).decode()


def _cipher() -> MultiFernet:
    keys = (conf.SECRET_KEY, *conf.SECRET_KEY_FALLBACKS)
    digests = (hashlib.sha256(b"oidc.refresh" + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(urlsafe_b64encode(digest)) for digest in digests])
