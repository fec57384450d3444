"""OPs that serve many tenants at one address, as Microsoft Entra ID does at `organizations` and `common`.

Each tenant is an issuer of its own, and the metadata has a template where Discovery 4.3 wants the issuer:
https://login.microsoftonline.com/{tenantid}/v2.0. A token names its tenant in `tid`. OIDC_TENANTS lists those that may.
https://learn.microsoft.com/entra/identity-platform/access-tokens#multitenant-applications
"""

import re
from typing import Any

import jwt

from oidc.errors import shorten
from oidc.internal.conf import conf
from oidc.internal.token_rules import Claims, Rule, TokenError

PLACE = "{tenantid}"
TENANT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ENTRA_ID = re.compile(
    r"https://login\.(microsoftonline\.(com|us)|partner\.microsoftonline\.cn)/(organizations|common)/"
)
ADDRESS = re.compile(r"(https?://[^/]+)/(?:organizations|common)/")


def template() -> str:
    """Return what the metadata says the issuer is: OIDC_OP_ISSUER, where there are tenants with a place for one."""
    return ADDRESS.sub(rf"\1/{PLACE}/", conf.OIDC_OP_ISSUER) if conf.OIDC_TENANTS else conf.OIDC_OP_ISSUER


def issuers() -> list[str]:
    """Return every issuer whose people may log in."""
    return [template().replace(PLACE, tenant) for tenant in conf.OIDC_TENANTS] or [conf.OIDC_OP_ISSUER]


def issuer_of(claims: Claims) -> str:
    """Return the issuer that a token with `claims` has to name; raises `TokenError` (ISSUER) for a foreign tenant."""
    if not conf.OIDC_TENANTS:
        return conf.OIDC_OP_ISSUER
    if (tenant := claims.get("tid")) not in [*conf.OIDC_TENANTS]:
        raise TokenError(Rule.ISSUER, f"tid is {shorten(tenant)}, which is not in OIDC_TENANTS")
    return template().replace(PLACE, str(tenant))


def scopes_of_keys(token: object) -> tuple[str, str] | None:
    """Return the values of a key's `issuer` with which it may verify `token`, None where there are no tenants.

    They are the template and the issuer that the token names, which is checked itself once the signature verifies: a
    key of one tenant signs for no other one.
    """
    if not conf.OIDC_TENANTS:
        return None
    try:
        claims: dict[str, Any] = jwt.decode(str(token), options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        claims = {}  # whoever reads the token says what is wrong with it
    return template(), str(claims.get("iss"))
