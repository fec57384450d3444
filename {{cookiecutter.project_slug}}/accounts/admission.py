"""Who may log in at all, as far as the environment says it. Code goes into `verify_claims`."""

from dataclasses import dataclass

from accounts import claims as read
from accounts.claims import Claims
from oidc.errors import LoginError, Reason


@dataclass(frozen=True, slots=True)
class Rules:
    """Conditions that all have to be met; an empty one is none."""

    email_domains: frozenset[str]
    hosted_domains: frozenset[str]
    tenants: frozenset[str]
    all_groups: frozenset[str]
    any_group: frozenset[str]


def check(claims: Claims, rules: Rules, groups_claim: str, *, emails_are_verified: bool) -> None:
    """Raise `LoginError` if a rule keeps the person out; its detail names the rule and no personal data."""
    if rules.email_domains:
        if not (emails_are_verified or read.email_is_verified(claims)):
            raise LoginError(Reason.CLAIMS_REFUSED, "OIDC_ALLOWED_EMAIL_DOMAINS: the address is not verified")
        if read.email(claims).rpartition("@")[2].lower() not in rules.email_domains:
            raise LoginError(Reason.CLAIMS_REFUSED, "OIDC_ALLOWED_EMAIL_DOMAINS: another domain, or no address")
    if rules.hosted_domains and str(claims.get("hd")) not in rules.hosted_domains:
        raise LoginError(Reason.CLAIMS_REFUSED, "OIDC_ALLOWED_HOSTED_DOMAINS: another `hd`, or none")
    if rules.tenants and str(claims.get("tid")) not in rules.tenants:
        raise LoginError(Reason.CLAIMS_REFUSED, "OIDC_ALLOWED_TENANTS: another `tid`, or none")
    if rules.all_groups or rules.any_group:
        groups = read.groups(claims, groups_claim)
        if groups is None:
            overage = read.too_many_groups(claims, groups_claim)
            raise LoginError(Reason.GROUPS_MISSING, "group overage" if overage else f"no claim {groups_claim}")
        if not rules.all_groups <= groups:
            raise LoginError(Reason.CLAIMS_REFUSED, "OIDC_REQUIRED_GROUPS: not in all of them")
        if rules.any_group and rules.any_group.isdisjoint(groups):
            raise LoginError(Reason.CLAIMS_REFUSED, "OIDC_REQUIRED_ANY_GROUP: in none of them")
