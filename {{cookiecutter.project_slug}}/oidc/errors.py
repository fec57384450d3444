"""Why a login can fail: one exception, and the relying party's own closed list of reasons.

A site adds reasons of its own without editing this file:

    SUSPENDED = Reason("suspended", 403, _("Your account is suspended."))
    raise LoginError(SUSPENDED, "detail for the log")
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Says more of each reason, under its code as the anchor.
MANUAL = "oidc/TROUBLESHOOTING.md"
_AGAIN = _("Please try again.")
_LATER = _("Please wait a minute, then try again.")
_TELL = _("If it happens again, give your administrator the reference below.")
_ASK = _("If you think you should have access, give your administrator the reference below.")


class Kind(Enum):
    """Whose problem it is, and so what becomes of a session whose renewal fails for it."""

    OUTAGE = auto()  # the OP cannot say anything at the moment: the session goes on for the grace period
    MISCONFIGURED = auto()  # OP and site do not fit together: the same, as it says nothing about the person
    INVALID = auto()  # what came breaks a rule of the protocol
    REFUSED = auto()  # the OP or the site does not want the person: the session ends


@dataclass(frozen=True, eq=False)
class Reason:
    """Why a login failed.

    `code` is public: logs, signals and tests name it, so it is never reused for something else. `status` is the HTTP
    status, `explanation` and `action` are what the person reads, `hint` is where an operator or developer should look.
    """

    code: str
    status: int
    explanation: str | Promise
    action: str | Promise = _ASK
    hint: str = ""
    kind: Kind = Kind.REFUSED


# ruff would make eight lines of each.
# fmt: off
# The browser and its attempt
ATTEMPT_UNKNOWN = Reason("attempt_unknown", 400,
    _("This login was not started in this browser, or it was finished before."), _AGAIN,
    "No attempt cookie: cookies blocked, another host name than SITE_URL's, or a replayed callback.", Kind.INVALID)
ATTEMPT_EXPIRED = Reason("attempt_expired", 400, _("The login took longer than ten minutes."), _AGAIN,
    "The person waited at the OP for more than ten minutes, or this machine's clock jumped.", Kind.INVALID)
CALLBACK_MALFORMED = Reason("callback_malformed", 400,
    _("The sign-in service sent back a response that this site cannot use."), _AGAIN,
    "RFC 6749 4.1.2: the callback needs one state and one code or error.", Kind.INVALID)
CALLBACK_ISSUER = Reason("callback_issuer", 400,
    _("The response came from another sign-in service than the one that was asked."), _TELL,
    "RFC 9207 2.4: `iss` must be OIDC_OP_ISSUER, and must be there if the metadata announces it.", Kind.INVALID)
TOO_MANY_FAILURES = Reason("too_many_failures", 429, _("Too many logins from your network have failed."), _LATER,
    "More than OIDC_FAILED_LOGINS_PER_MINUTE: a flood, or FORWARDED_ALLOW_IPS lacks the proxy of all.", Kind.OUTAGE)
# What the OP told the person
ACCESS_DENIED = Reason("access_denied", 403, _("The login was cancelled, or the sign-in service did not allow it."),
    _ASK, "The OP sent error=access_denied: the person declined, or is not assigned to this client there.")
LOGIN_REQUIRED = Reason("login_required", 403, _("The sign-in service did not let you log in."), _AGAIN,
    "The OP may ask the person, and did not: `prompt` in OIDC_AUTH_REQUEST_EXTRA_PARAMS, or a rule for logins there.")
CONSENT_REQUIRED = Reason("consent_required", 403,
    _("You have to agree that the sign-in service tells this site who you are."), _AGAIN,
    "The person, or an administrator of the OP, has to consent to what OIDC_RP_SCOPES asks for.")
ACCOUNT_SELECTION_REQUIRED = Reason("account_selection_required", 403,
    _("The sign-in service could not tell which of your accounts to use."), _AGAIN,
    "The OP sent account_selection_required: `prompt` or `login_hint` in OIDC_AUTH_REQUEST_EXTRA_PARAMS?")
SCOPE_REFUSED = Reason("scope_refused", 502, _("The sign-in service does not tell this site what it asks for."), _TELL,
    "invalid_scope: OIDC_RP_SCOPES names a scope that the OP does not give this client.", Kind.MISCONFIGURED)
OP_ERROR = Reason("op_error", 400, _("The sign-in service could not complete the login."), _TELL,
    "See the OP's own error. Often it does not know the redirect URI, SITE_URL/oidc/callback/.", Kind.MISCONFIGURED)
# Reaching the OP
OP_UNAVAILABLE = Reason("op_unavailable", 503, _("The sign-in service has a problem of its own at the moment."),
    _LATER, "HTTP 500 or more, server_error or temporarily_unavailable: see its log, or its gateway's.", Kind.OUTAGE)
OP_UNREACHABLE = Reason("op_unreachable", 503, _("The sign-in service cannot be reached at the moment."), _LATER,
    "Check OIDC_OP_ISSUER, DNS, OIDC_PROXY, the firewall and the TLS certificate (OIDC_OP_CA_BUNDLE).", Kind.OUTAGE)
OP_TIMEOUT = Reason("op_timeout", 504, _("The sign-in service did not respond in time."), _LATER,
    "The OP took longer than OIDC_TIMEOUT seconds, now or a moment ago; the site asks it again by itself.", Kind.OUTAGE)
OP_RESPONSE = Reason("op_response", 502, _("The sign-in service sent a response that this site cannot use."), _TELL,
    "Not JSON, too large, a redirect, or not 200: check the endpoint (OIDC_OP_*_ENDPOINT).", Kind.MISCONFIGURED)
METADATA_INVALID = Reason("metadata_invalid", 502,
    _("The sign-in service describes itself in a way that this site cannot trust."), _TELL,
    "Discovery 4.3: issuer must equal OIDC_OP_ISSUER exactly, endpoints must be https.", Kind.MISCONFIGURED)
CODE_REFUSED = Reason("code_refused", 400,
    _("The login took too long, or it was used already."), _AGAIN,
    "invalid_grant: the code was used, has expired, or is for another redirect URI (SITE_URL).", Kind.INVALID)
CLIENT_REFUSED = Reason("client_refused", 502, _("The sign-in service does not accept this site."), _TELL,
    "Check OIDC_RP_CLIENT_ID, OIDC_RP_CLIENT_SECRET and OIDC_TOKEN_ENDPOINT_AUTH_METHOD.", Kind.MISCONFIGURED)
# The ID Token: OpenID Connect Core 3.1.3.7
ID_TOKEN_MISSING = Reason("id_token_missing", 403, _("The sign-in service did not say who you are."), _TELL,
    "No id_token in the token response: is `openid` in OIDC_RP_SCOPES?", Kind.MISCONFIGURED)
ID_TOKEN_MALFORMED = Reason("id_token_malformed", 403,
    _("The sign-in service sent an identity that this site cannot read."), _TELL,
    "Not a JWT, or one of more than 64 kB: fewer claims in it?", Kind.INVALID)
ID_TOKEN_ALGORITHM = Reason("id_token_algorithm", 403,
    _("The sign-in service protects identities in another way than expected."), _TELL,
    "The token's `alg` is not OIDC_RP_SIGN_ALGO.", Kind.MISCONFIGURED)
ID_TOKEN_KEY = Reason("id_token_key", 403, _("The identity could not be checked, because its key is unknown."), _TELL,
    "No single key fits kid, type and use: check OIDC_OP_JWKS_ENDPOINT or OIDC_RP_IDP_SIGN_KEY.", Kind.MISCONFIGURED)
KEYS_CHANGING = Reason("keys_changing", 503, _("The sign-in service is changing its keys at the moment."), _LATER,
    "No key fits, and the OP's key set was fetched too often of late to be fetched again.", Kind.OUTAGE)
ID_TOKEN_SIGNATURE = Reason("id_token_signature", 403, _("Your identity could not be verified."), _TELL,
    "Forged, or OIDC_RP_IDP_SIGN_KEY, or with HS256 OIDC_RP_CLIENT_SECRET, is not the OP's.", Kind.INVALID)
ID_TOKEN_ISSUER = Reason("id_token_issuer", 403, _("The identity comes from another sign-in service."), _TELL,
    "`iss` must equal OIDC_OP_ISSUER exactly, trailing slash included.", Kind.INVALID)
ID_TOKEN_AUDIENCE = Reason("id_token_audience", 403, _("The identity was made for another site."), _TELL,
    "`aud` must be OIDC_RP_CLIENT_ID, beside it only OIDC_TRUSTED_AUDIENCES; `azp` the client id.", Kind.INVALID)
ID_TOKEN_TIME = Reason("id_token_time", 403, _("The identity is not valid at this time."), _AGAIN,
    "Times are judged with 60 s of leeway: compare the clocks of this machine and the OP.", Kind.INVALID)
ID_TOKEN_SUBJECT = Reason("id_token_subject", 403, _("The sign-in service did not name you in a usable way."), _TELL,
    "`sub`: 1 to 255 ASCII characters, and at a renewal the same as at the login.", Kind.INVALID)
ID_TOKEN_NONCE = Reason("id_token_nonce", 403, _("The identity does not belong to this login."), _AGAIN,
    "`nonce` must be the one that was sent.", Kind.INVALID)
ID_TOKEN_ACCESS_TOKEN = Reason("id_token_access_token", 403,
    _("The identity does not belong to the rest of the response."), _TELL,
    "`at_hash` does not fit the access token (Core 3.1.3.8).", Kind.INVALID)
AUTHENTICATION_TOO_OLD = Reason("authentication_too_old", 403, _("You have to log in again at the sign-in service."),
    _AGAIN, "`auth_time` is missing, another, or older than max_age (OIDC_AUTH_REQUEST_EXTRA_PARAMS).", Kind.INVALID)
AUTHENTICATION_TOO_WEAK = Reason("authentication_too_weak", 403, _("A stronger kind of login is needed here."), _TELL,
    "`acr` is none of the acr_values asked for (OIDC_AUTH_REQUEST_EXTRA_PARAMS).", Kind.INVALID)
# Userinfo: OpenID Connect Core 5.3
USERINFO_INVALID = Reason("userinfo_invalid", 403,
    _("The sign-in service sent details about you that this site cannot use."), _TELL,
    "Not a JWT that the issuer signed for this client with OIDC_USERINFO_SIGN_ALGO.", Kind.INVALID)
USERINFO_SUBJECT = Reason("userinfo_subject", 403, _("The sign-in service sent details about somebody else."), _TELL,
    "Core 5.3.2: `sub` of userinfo must equal `sub` of the ID Token.", Kind.INVALID)
# The site's user policy
CLAIMS_REFUSED = Reason("claims_refused", 403, _("Your account may not use this site."), _ASK,
    "The policy said no: verify_claims of the backend in AUTHENTICATION_BACKENDS.")
GROUPS_MISSING = Reason("groups_missing", 403, _("The sign-in service did not say which groups you are in."), _ASK,
    "No claim OIDC_GROUPS_CLAIM. Entra ID leaves it out beyond 200 groups: send only assigned groups, or app roles.")
LOGGED_OUT = Reason("logged_out", 403,
    _("The sign-in service logged you out while you were logging in."), _AGAIN,
    "A logout token for this person or session came between the code and the session.")
USER_UNKNOWN = Reason("user_unknown", 403,
    _("You have no account here yet, and an administrator has to create one."), _ASK,
    "OIDC_CREATE_USER is off: make the user in the admin, with the subject that the log line names.")
USER_AMBIGUOUS = Reason("user_ambiguous", 403, _("More than one account matches your login."), _ASK,
    "filter_users_by_claims found several users: two accounts have the same address?")
USER_INACTIVE = Reason("user_inactive", 403, _("Your account here has been deactivated."), _ASK, "is_active is off.")
POLICY_FAILED = Reason("policy_failed", 503, _("This site could not set up your account."), _TELL,
    "A method of the backend raised an exception; its traceback is in the log.", Kind.MISCONFIGURED)
# fmt: on

REASONS = tuple(value for value in list(globals().values()) if isinstance(value, Reason))

# What an OP's error means, whichever endpoint sends it (RFC 6749 4.1.2.1, 5.2; Core 3.1.2.6); others are OP_ERROR.
OF_OP = {
    "access_denied": ACCESS_DENIED,
    "account_selection_required": ACCOUNT_SELECTION_REQUIRED,
    "consent_required": CONSENT_REQUIRED,
    "interaction_required": LOGIN_REQUIRED,
    "invalid_client": CLIENT_REFUSED,
    "invalid_grant": CODE_REFUSED,
    "invalid_scope": SCOPE_REFUSED,
    "login_required": LOGIN_REQUIRED,
    "server_error": OP_UNAVAILABLE,
    "temporarily_unavailable": OP_UNAVAILABLE,
    "unauthorized_client": CLIENT_REFUSED,
}

# What an OP says to prompt=none that means: ask the person (Core 3.1.2.6).
INTERACTION_NEEDED = {"login_required", "interaction_required", "consent_required", "account_selection_required"}


class LoginError(Exception):
    """A login that failed.

    `reason` is what is told and counted; `detail` is for the log and a developer's eyes: what was expected and what
    came, never a token, a code, a secret or a whole set of claims. `op_error` is the OP's own error code, `endpoint`
    the address that was asked, `user` the user where it is known, `hint` that of the reason, or a better one.
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
        self.hint = reason.hint


def shorten(text: object, limit: int = 100) -> str:
    """Return text that came from outside in a form that is safe in one log line: escaped and cut."""
    plain = ascii(text if isinstance(text, str) else repr(text))
    return plain if len(plain) <= limit else f"{plain[:limit]}..."
