"""OPs that serve many tenants at one address, as Microsoft Entra ID does at `organizations` and `common`.

Each tenant is an issuer of its own, and the metadata has a template for them, such as https://op/{tenantid}/v2.0.
https://learn.microsoft.com/entra/identity-platform/access-tokens#multitenant-applications
"""

import re

import jwt

from oidc.errors import shorten
from oidc.internal.conf import conf
from oidc.internal.token_rules import Claims, Rule, TokenError

TENANT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MANY_TENANTS = re.compile(r"(https?://[^/]+)/(organizations|common)/v2\.0")


def template() -> str:
    """Return what the metadata has to name as its issuer (Discovery 4.3): OIDC_OP_ISSUER, or its template."""
    return MANY_TENANTS.sub(r"\1/{tenantid}/v2.0", conf.OIDC_OP_ISSUER) if conf.OIDC_TENANTS else conf.OIDC_OP_ISSUER


def issuers() -> list[str]:
    """Return every issuer whose people may log in."""
    return [template().replace("{tenantid}", tenant) for tenant in conf.OIDC_TENANTS] or [conf.OIDC_OP_ISSUER]


def issuer_of(claims: Claims) -> str:
    """Return the issuer that a token has to name (Core 3.1.3.7 rule 2); raises `TokenError` for a foreign tenant."""
    if conf.OIDC_TENANTS and claims.get("tid") not in [*conf.OIDC_TENANTS]:
        raise TokenError(Rule.ISSUER, f"tid is {shorten(claims.get('tid'))}, which is not in OIDC_TENANTS")
    return template().replace("{tenantid}", claims["tid"]) if conf.OIDC_TENANTS else conf.OIDC_OP_ISSUER


def scopes_of_keys(token: object) -> list[str] | None:
    """Return what a key that verifies `token` may name as its `issuer`, None for anything: it signs for no other."""
    if not conf.OIDC_TENANTS:
        return None
    try:
        return [template(), str(jwt.decode(str(token), options={"verify_signature": False}).get("iss"))]
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return []  # whoever reads the token says what is wrong with it
