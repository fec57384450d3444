"""Why a login can fail: one exception, one closed list of reasons."""

from enum import Enum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_AGAIN = _("Please try again.")
_LATER = _("Please wait a minute, then try again.")
_TELL = _("If it happens again, tell your administrator the reference below.")
_ASK = _("If you think you should have access, tell your administrator the reference below.")


class Reason(Enum):
    """A reason code with the HTTP status, what the person reads, and what a developer should look at.

    Codes are public: logs, signals and tests name them, so they are never reused for something else.
    """

    def __new__(cls, status: int, explanation: Promise, action: Promise, mend: str) -> "Reason":
        reason = object.__new__(cls)
        # Enum compares values, and a lazy translation cannot be compared before the apps are loaded.
        reason._value_ = len(cls.__members__)
        reason.status = status
        reason.explanation = explanation
        reason.action = action
        reason.mend = mend
        return reason

    status: int
    explanation: Promise
    action: Promise
    mend: str

    @property
    def code(self) -> str:
        """The reason as it stands in logs, e.g. `id_token_expired`."""
        return self.name.lower()

    # The browser and its attempt
    ATTEMPT_UNKNOWN = (
        400,
        _("This sign-in was not started in this browser, or it was finished before."),
        _AGAIN,
        "The attempt cookie is missing: cookies blocked, another host name than SITE_URL's, or a replayed callback.",
    )
    ATTEMPT_EXPIRED = (
        400,
        _("The sign-in took longer than ten minutes."),
        _AGAIN,
        "The person waited at the OP, or this machine's clock jumped.",
    )
    CALLBACK_MALFORMED = (
        400,
        _("The sign-in service sent back an incomplete answer."),
        _AGAIN,
        "RFC 6749 4.1.2: the callback needs one state and one code or error.",
    )
    CALLBACK_ISSUER = (
        400,
        _("The answer came from another sign-in service than the one that was asked."),
        _TELL,
        "RFC 9207 2.4: `iss` in the callback must be OIDC_OP_ISSUER, and must be there if the metadata announces it.",
    )
    # What the OP answered to the person
    ACCESS_DENIED = (
        403,
        _("The sign-in was cancelled, or the sign-in service did not allow it."),
        _ASK,
        "The OP answered error=access_denied: the person declined, or is not assigned to this client there.",
    )
    OP_ERROR = (
        400,
        _("The sign-in service could not complete the sign-in."),
        _TELL,
        "The OP answered with an error; its code is in the log line. Often a redirect URI or scope it does not know.",
    )
    # Reaching the OP
    OP_UNAVAILABLE = (
        503,
        _("The sign-in service has a problem of its own at the moment."),
        _LATER,
        "The OP answered server_error or temporarily_unavailable.",
    )
    OP_UNREACHABLE = (
        503,
        _("The sign-in service cannot be reached at the moment."),
        _LATER,
        "No connection to the OP: its address, DNS, proxy, firewall, or its TLS certificate (OIDC_OP_CA_BUNDLE).",
    )
    OP_TIMEOUT = (
        504,
        _("The sign-in service did not answer in time."),
        _LATER,
        "The OP took longer than OIDC_TIMEOUT seconds.",
    )
    OP_BUSY = (
        503,
        _("The sign-in service is answering slowly and many people are waiting."),
        _LATER,
        "OIDC_OP_MAX_WAITING requests of this process were waiting for the OP already.",
    )
    OP_ANSWER = (
        502,
        _("The sign-in service sent an answer that this site cannot use."),
        _TELL,
        "The OP's answer was no JSON, too large, a redirect, or an unexpected status; the log line names the endpoint.",
    )
    METADATA_INVALID = (
        502,
        _("The sign-in service describes itself in a way that this site cannot trust."),
        _TELL,
        "Discovery 4.3: the document's issuer must equal OIDC_OP_ISSUER exactly, its endpoints must be https.",
    )
    CODE_REFUSED = (
        400,
        _("The sign-in service did not accept the answer it had given itself; it may have been too old."),
        _AGAIN,
        "invalid_grant: the code was used or expired, or the redirect URI or PKCE verifier differs.",
    )
    CLIENT_REFUSED = (
        502,
        _("The sign-in service does not accept this site."),
        _TELL,
        "Check OIDC_RP_CLIENT_ID, OIDC_RP_CLIENT_SECRET and OIDC_TOKEN_ENDPOINT_AUTH_METHOD.",
    )
    # The ID Token: OpenID Connect Core 3.1.3.7
    ID_TOKEN_MISSING = (
        403,
        _("The sign-in service did not say who you are."),
        _TELL,
        "No id_token in the token response: is `openid` in OIDC_RP_SCOPES?",
    )
    ID_TOKEN_MALFORMED = (403, _("The sign-in service sent a damaged identity."), _TELL, "Not a JWT of sane size.")
    ID_TOKEN_ALGORITHM = (
        403,
        _("The sign-in service protects identities in another way than this site expects."),
        _TELL,
        "The token's `alg` is not OIDC_RP_SIGN_ALGO.",
    )
    ID_TOKEN_KEY = (
        403,
        _("The identity could not be checked, because its key is unknown."),
        _TELL,
        "No single key in the OP's key set fits the token's kid, type and use.",
    )
    ID_TOKEN_SIGNATURE = (403, _("The identity is not genuine."), _TELL, "The signature does not verify.")
    ID_TOKEN_ISSUER = (
        403,
        _("The identity comes from another sign-in service."),
        _TELL,
        "`iss` must equal OIDC_OP_ISSUER exactly, trailing slash included.",
    )
    ID_TOKEN_AUDIENCE = (
        403,
        _("The identity was made for another site."),
        _TELL,
        "`aud` must contain OIDC_RP_CLIENT_ID and nothing outside OIDC_TRUSTED_AUDIENCES; `azp` must be the client id.",
    )
    ID_TOKEN_TIME = (
        403,
        _("The identity is not valid at this time."),
        _AGAIN,
        "`exp`, `iat` and `nbf` are judged with 60 s of leeway: compare the clocks of this machine and the OP.",
    )
    ID_TOKEN_SUBJECT = (403, _("The identity has no usable name."), _TELL, "`sub`: 1 to 255 ASCII characters.")
    ID_TOKEN_NONCE = (
        403,
        _("The identity does not belong to this sign-in."),
        _AGAIN,
        "`nonce` must be the one that was sent.",
    )
    ID_TOKEN_ACCESS_TOKEN = (
        403,
        _("The identity does not belong to the rest of the answer."),
        _TELL,
        "`at_hash` does not fit the access token.",
    )
    AUTHENTICATION_TOO_OLD = (
        403,
        _("You have to sign in again at the sign-in service."),
        _AGAIN,
        "`auth_time` is missing or older than the max_age that was asked for.",
    )
    AUTHENTICATION_TOO_WEAK = (
        403,
        _("A stronger kind of sign-in is needed here."),
        _TELL,
        "`acr` is none of the acr_values that were asked for.",
    )
    # Userinfo: OpenID Connect Core 5.3
    USERINFO_INVALID = (
        403,
        _("The sign-in service sent details about you that this site cannot use."),
        _TELL,
        "Neither a JSON object nor a JWT signed by the issuer for this client.",
    )
    USERINFO_SUBJECT = (
        403,
        _("The sign-in service sent details about somebody else."),
        _TELL,
        "Core 5.3.2: `sub` of userinfo must equal `sub` of the ID Token.",
    )
    LOGOUT_TOKEN_INVALID = (
        400,
        _("The sign-out message is not valid."),
        _TELL,
        "Back-Channel Logout 2.6: what a logout token has to say.",
    )
    # The site's user policy
    CLAIMS_REFUSED = (
        403,
        _("Your account may not use this site."),
        _ASK,
        "verify_claims in accounts/backends.py said no.",
    )
    GROUPS_MISSING = (
        403,
        _("The sign-in service did not say which groups you are in."),
        _ASK,
        "OIDC_GROUPS_CLAIM names no claim that came. Entra ID leaves groups out for people in more than 200: "
        "let it send only groups assigned to the application, or use app roles.",
    )
    USER_UNKNOWN = (
        403,
        _("You have no account here yet, and accounts are made by an administrator."),
        _ASK,
        "OIDC_CREATE_USER is off: make the user in the admin, with the subject that the log line names.",
    )
    USER_AMBIGUOUS = (403, _("More than one account fits you."), _ASK, "filter_users_by_claims found several users.")
    USER_INACTIVE = (403, _("Your account here has been deactivated."), _ASK, "is_active is off.")
    POLICY_FAILED = (
        503,
        _("This site could not work out your account."),
        _TELL,
        "A method of the backend raised an exception; its traceback stands in the log.",
    )


# The OP cannot say anything at the moment; that is no word against the person.
OUTAGES = {
    Reason.OP_UNAVAILABLE,
    Reason.OP_UNREACHABLE,
    Reason.OP_TIMEOUT,
    Reason.OP_BUSY,
    Reason.OP_ANSWER,
    Reason.METADATA_INVALID,
    Reason.CLIENT_REFUSED,
}
# The OP or the site does not want the person any more.
REFUSALS = {
    Reason.ACCESS_DENIED,
    Reason.CLAIMS_REFUSED,
    Reason.GROUPS_MISSING,
    Reason.USER_UNKNOWN,
    Reason.USER_AMBIGUOUS,
    Reason.USER_INACTIVE,
}


class LoginError(Exception):
    """A login that failed.

    `reason` is what is told and counted; `detail` is for the log and a developer's eyes: what was
    expected and what came, never a token, a code, a secret or a whole set of claims. `op_error` is
    the OP's own error code, `endpoint` the address that was asked, `user` the user where it is known.
    """

    def __init__(
        self, reason: Reason, detail: str = "", *, op_error: str = "", endpoint: str = "", user: Any = None
    ) -> None:
        super().__init__(f"{reason.code}: {detail}")
        self.reason = reason
        self.detail = detail
        self.op_error = op_error
        self.endpoint = endpoint
        self.user = user


def shorten(text: object, limit: int = 100) -> str:
    """Return text that came from outside in a form that is safe in one log line: escaped and cut."""
    plain = ascii(text if isinstance(text, str) else repr(text))
    return plain if len(plain) <= limit else f"{plain[:limit]}..."
