"""The authentication backend: from an authorization code to a user.

It keeps the methods of mozilla-django-oidc's backend, so what that library documents for subclasses
holds here too. What differs is what happens inside: every rule of OpenID Connect is applied, and a
login that fails raises `LoginError` with its reason instead of returning None.
"""

import logging
import time
from itertools import islice
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import SuspiciousOperation
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend as LibraryBackend

from oidc import keys, provider, tokens
from oidc.attempts import Attempt
from oidc.conf import conf
from oidc.errors import LoginError, Reason

logger = logging.getLogger(__name__)

RACES = 5


class OIDCAuthenticationBackend(LibraryBackend):
    """Authenticates with the authorization code flow (OpenID Connect Core 3.1).

    A site subclasses it and overrides `verify_claims`, `filter_users_by_claims`, `create_user`,
    `update_user`, `get_username` or `remember_identity`. The `claims` of these methods are the
    verified claims of the ID Token with those of userinfo merged in; `iss` and `sub` are always there.
    """

    def __init__(self) -> None:
        # The library reads all settings here and insists on endpoints; Django makes a backend for every
        # permission check, and discovery must not run that often, so endpoints are looked up when used.
        self.UserModel = get_user_model()

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> AbstractBaseUser | None:
        """Return the user of an OP's answer; raises `LoginError` if the login fails.

        Credentials: `code` (the authorization code), `attempt` (`oidc.attempts.Attempt`) and
        `redirect_uri` as it was sent. Without a code, as in a password login, this backend stands aside.
        """
        if request is None or not credentials.get("code"):
            return None
        self.request = request
        attempt: Attempt = credentials["attempt"]
        response = self.get_token(
            {
                "code": credentials["code"],
                "redirect_uri": credentials["redirect_uri"],
                "code_verifier": attempt.code_verifier,
            }
        )
        id_token, access_token = response.get("id_token"), response.get("access_token")
        if id_token is None:
            raise LoginError(Reason.ID_TOKEN_MISSING, "the token response has no id_token")
        claims = self.verify_token(id_token, attempt=attempt, access_token=access_token)
        user = self.get_or_create_user(access_token, id_token, claims)
        self.store_tokens(access_token, id_token)
        request.oidc_claims = claims
        request.oidc_refresh_token = response.get("refresh_token")
        return user

    def renew(
        self, request: HttpRequest, refresh_token: str, subject: str
    ) -> tuple[AbstractBaseUser | None, dict[str, Any]]:
        """Return the user of `subject`, brought up to date, and the token response for a refresh token (Core 12).

        Raises `LoginError` if the OP or the policy refuses, or if the answer is about somebody else.
        """
        self.request = request
        response = provider.refresh(refresh_token)
        id_token, access_token = response.get("id_token"), response.get("access_token")
        claims = {"iss": conf.OIDC_OP_ISSUER, "sub": subject}
        if id_token is not None:
            claims = self.verify_token(id_token, attempt=None, access_token=access_token)
            tokens.check_same_subject({"sub": subject}, claims)
        user = self.get_or_create_user(access_token, id_token, claims)
        self.store_tokens(access_token, id_token)
        return user, response

    def get_user(self, user_id: Any) -> AbstractBaseUser | None:
        """Return the user of a session; the library lets those in who were deactivated meanwhile."""
        user = super().get_user(user_id)
        return user if user is not None and self.user_can_authenticate(user) else None

    def get_token(self, payload: dict[str, str]) -> dict[str, Any]:
        """Return the token response for a code; raises `LoginError`."""
        return provider.exchange_code(payload["code"], payload["redirect_uri"], payload["code_verifier"])

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        """Return the claims of an ID Token that passes every rule of Core 3.1.3.7; raises `LoginError`.

        Keywords: `attempt`, whose nonce, max_age and acr_values are expected (None for a refreshed token, which
        answers no request), and `access_token`.
        """
        attempt: Attempt | None = kwargs["attempt"]
        algorithm = conf.OIDC_RP_SIGN_ALGO
        claims = tokens.read(token, algorithm, keys.verification_key)
        expected = tokens.Expected(
            issuer=conf.OIDC_OP_ISSUER,
            client_id=conf.OIDC_RP_CLIENT_ID,
            nonce=attempt.nonce if attempt else None,
            now=time.time(),
            trusted_audiences=conf.OIDC_TRUSTED_AUDIENCES,
            max_age=attempt.max_age if attempt else None,
            acr_values=attempt.acr_values if attempt else (),
        )
        tokens.check_id_token(claims, expected)
        tokens.check_access_token_hash(claims, kwargs.get("access_token"), algorithm)
        return claims

    def get_userinfo(self, access_token: str | None, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the claims of the ID Token (`payload`, verified) with those of userinfo merged in.

        Userinfo is asked only after the ID Token has passed, and not at all if OIDC_USERINFO is
        "when-needed" and the ID Token has all OIDC_NEEDED_CLAIMS. Raises `LoginError`.
        """
        complete = all(name in payload for name in conf.OIDC_NEEDED_CLAIMS)
        if (conf.OIDC_USERINFO == "when-needed" and complete) or not provider.endpoint("userinfo_endpoint"):
            return payload
        if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
            raise LoginError(Reason.OP_ANSWER, "the token response has no usable access_token")
        answer = provider.userinfo(access_token)
        if answer.content_type == "application/jwt":
            details = self._verify_userinfo_jwt(answer.body)
        else:
            details = answer.json_object()
        tokens.check_same_subject(payload, details)
        return tokens.merge_claims(payload, details)

    def get_or_create_user(
        self, access_token: str | None, id_token: str, payload: dict[str, Any]
    ) -> AbstractBaseUser | None:
        """Return the user for verified claims, made if the policy allows it.

        First logins of one person that race for the same user end in one: whoever loses looks again.
        Raises `LoginError`.
        """
        claims = self.get_userinfo(access_token, id_token, payload)
        try:
            for race in range(RACES):
                try:
                    with transaction.atomic():
                        return self._apply_policy(claims)
                except IntegrityError:
                    if race == RACES - 1:
                        raise
        except LoginError:
            raise
        except SuspiciousOperation as error:
            raise LoginError(Reason.CLAIMS_REFUSED, type(error).__name__) from error
        except Exception as error:
            # Policy is the site's own code: whatever it raises, the person gets a page and the log the cause.
            logger.exception("the user policy failed")
            raise LoginError(Reason.POLICY_FAILED, type(error).__name__) from error
        return None

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        """Tell whether the person may log in. The library asks for an e-mail address here; OpenID Connect does not."""
        return True

    def remember_identity(self, user: AbstractBaseUser, claims: dict[str, Any]) -> None:
        """Called inside the transaction of every login, after the user is found or made."""

    def store_tokens(self, access_token: str | None, id_token: str | None) -> None:
        """Keep tokens in the session where OIDC_STORE_ACCESS_TOKEN or OIDC_STORE_ID_TOKEN ask for it.

        A login of another person flushes the session afterwards, so they wait on the request until then.
        """
        self.request.oidc_tokens = {
            **({"oidc_access_token": access_token} if conf.OIDC_STORE_ACCESS_TOKEN else {}),
            **({"oidc_id_token": id_token} if conf.OIDC_STORE_ID_TOKEN and id_token else {}),
        }

    def _apply_policy(self, claims: dict[str, Any]) -> AbstractBaseUser | None:
        if not self.verify_claims(claims):
            raise LoginError(Reason.CLAIMS_REFUSED, "verify_claims returned False")
        users = list(islice(self.filter_users_by_claims(claims), 2))
        if len(users) > 1:
            raise LoginError(Reason.USER_AMBIGUOUS, "several users match")
        if users:
            if not users[0].is_active:
                raise LoginError(Reason.USER_INACTIVE, f"user {users[0].pk}", user=users[0])
            user = self.update_user(users[0], claims)
        elif conf.OIDC_CREATE_USER:
            user = self.create_user(claims)
        else:
            raise LoginError(Reason.USER_UNKNOWN, f"OIDC_CREATE_USER is off, and nobody has subject {claims['sub']}")
        if user is not None:
            self.remember_identity(user, claims)
        return user

    def _verify_userinfo_jwt(self, body: bytes) -> dict[str, Any]:
        """Return the claims of a signed userinfo answer (Core 5.3.2): issuer and audience are those of the ID Token."""
        try:
            claims = tokens.read(body.decode("ascii", "replace").strip(), conf.OIDC_RP_SIGN_ALGO, keys.verification_key)
            tokens.check_issuer(claims, conf.OIDC_OP_ISSUER)
            tokens.check_audience(claims, conf.OIDC_RP_CLIENT_ID, conf.OIDC_TRUSTED_AUDIENCES)
        except LoginError as error:
            raise LoginError(Reason.USERINFO_INVALID, str(error), endpoint=error.endpoint) from error
        return claims
