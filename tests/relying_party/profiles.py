"""How each provider of presets.toml behaves, as far as its documents tell: what the OP of the tests replays.

A profile says what is in the ID Token and at userinfo for a person who is in the group `staff`, and what else the
provider does in its own way. The person of `oidc.testing.op.PERSON` is `person@example.org`.
"""

import tomllib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from oidc.testing import pages
from oidc.testing.op import ABSENT, CLIENT, OP, Asked, Claims
from oidc.testing.pages import Page
from tests.relying_party.rules import REPOSITORY

PRESETS: dict[str, dict[str, Any]] = tomllib.loads(
    (REPOSITORY / "cookiecutter_django_oidc_v2" / "presets.toml").read_text(encoding="utf-8")
)
TENANT = "1111aaaa-2222-3333-4444-555555555555"
EMAIL = {"email": "person@example.org"}
VERIFIED = EMAIL | {"email_verified": True}
NO_END_SESSION = {"end_session_endpoint": ABSENT}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What an OP says: `groups` is its claim for a member of `staff`, `no_groups` that for somebody in no group."""

    groups: Any
    no_groups: Any = field(default_factory=list)
    groups_in: str = "userinfo"
    id_token: Claims = field(default_factory=dict)
    userinfo: Claims = field(default_factory=lambda: VERIFIED)
    is_verified: bool = True
    metadata: Claims = field(default_factory=dict)
    auth_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    # What the team puts into settings that are rendered empty, and a scope without which the OP sends no groups.
    filled_in: dict[str, Any] = field(default_factory=dict)
    group_scope: str = "openid"
    staff: str = "staff"


# Entra ID leaves out at_hash at the token endpoint, and its userinfo has neither groups nor tenant.
ENTRA_TOKEN = EMAIL | {"preferred_username": "person@example.org", "tid": TENANT, "oid": "o-1", "at_hash": ABSENT}

PROFILES = {
    "local": Profile(groups=["staff"]),
    "keycloak": Profile(groups=["/staff", "/offices/vienna"], userinfo=VERIFIED | {"preferred_username": "person"}),
    "entra": Profile(
        groups=["staff"],
        no_groups=ABSENT,
        groups_in="id_token",
        id_token=ENTRA_TOKEN,
        userinfo=EMAIL,
        is_verified=False,
    ),
    "entra_multi": Profile(
        groups=["staff"],
        no_groups=ABSENT,
        groups_in="id_token",
        id_token=ENTRA_TOKEN,
        userinfo=EMAIL,
        is_verified=False,
        filled_in={"OIDC_TENANTS": [TENANT]},
    ),
    "google": Profile(groups=ABSENT, id_token=VERIFIED | {"hd": "example.org"}, metadata=NO_END_SESSION),
    "okta": Profile(groups=["Everyone", "staff"], auth_methods=("client_secret_basic",), group_scope="groups"),
    "okta_custom": Profile(groups=["staff"], groups_in="id_token", id_token={"ver": 1}),
    "auth0": Profile(groups=["staff"], groups_in="id_token", id_token=VERIFIED),
    "cognito": Profile(
        groups=["staff"],
        no_groups=ABSENT,
        groups_in="id_token",
        id_token={"cognito:username": "person", "token_use": "id"},
        userinfo=EMAIL | {"email_verified": "true", "username": "person"},
    ),
    "gitlab": Profile(groups=["staff", "team/backend"], id_token={"groups_direct": ["staff"]}, metadata=NO_END_SESSION),
    "authentik": Profile(groups=["staff"], userinfo=EMAIL | {"email_verified": False}, is_verified=False),
    "zitadel": Profile(
        groups={"staff": {"178204173316174381": "acme.example"}},
        no_groups=ABSENT,
        id_token={"aud": [CLIENT[0], "201982826478953724"], "azp": CLIENT[0]},
        auth_methods=("client_secret_basic",),
        filled_in={"OIDC_TRUSTED_AUDIENCES": ["201982826478953724"]},
    ),
    "authelia": Profile(
        groups=["staff"], metadata=NO_END_SESSION, auth_methods=("client_secret_basic",), group_scope="groups"
    ),
    "kanidm": Profile(
        groups=["staff@idm.example.org", "a3c1e0b2-0000-4000-8000-000000000000"],
        metadata=NO_END_SESSION,
        auth_methods=("client_secret_basic",),
        group_scope="groups",
        staff="staff@idm.example.org",
    ),
    "dex": Profile(
        groups=["staff"], groups_in="id_token", id_token=VERIFIED, metadata=NO_END_SESSION, group_scope="groups"
    ),
    # One group is a text, not a list.
    "adfs": Profile(
        groups="staff", groups_in="id_token", id_token=EMAIL, userinfo={}, is_verified=False, group_scope="allatclaims"
    ),
    "pingone": Profile(groups=["staff"]),
    "onelogin": Profile(groups=["staff"], groups_in="id_token", id_token=VERIFIED),
    "jumpcloud": Profile(groups=["staff"], metadata=NO_END_SESSION),
    "other": Profile(groups=[{"name": "staff"}]),
}


@dataclass(kw_only=True, eq=False, repr=False)
class ProviderOP(OP):
    """The OP of the tests in the role of a provider: its issuer has that provider's path."""

    provider: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.preset, self.profile = PRESETS[self.provider], PROFILES[self.provider]
        self.base = super().issuer
        self.path = urlsplit(self.preset["issuer"]).path
        below = self.path.rstrip("/")
        self.endpoints = {below + path: endpoint for path, endpoint in self.endpoints.items()}
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
        names |= {"jwks_uri": "jwks", "end_session_endpoint": "end-session"}
        self.metadata = {name: f"{self.base}{below}/{path}" for name, path in names.items()} | self.profile.metadata
        self.auth_methods = [*self.profile.auth_methods]
        self.claims = {**self.profile.id_token}
        self.account = {"sub": "person-1", **self.profile.userinfo}
        self.users = lambda: [self.account]
        algorithm = self.preset.get("algorithm", "RS256")
        if self.provider == "entra_multi":
            template = f"{self.base}/{{tenantid}}/v2.0"
            self.metadata["issuer"], self.claims["iss"] = template, template.replace("{tenantid}", TENANT)
            self.sign_with(algorithm, issuer=template)
        else:
            self.sign_with(algorithm)
        if self.provider == "cognito":
            self.endpoints[f"{below}/logout"] = self._log_out_of_cognito
            self.metadata["end_session_endpoint"] = f"{self.base}{below}/logout"
        self.put_into(self.profile.groups)

    @property
    def issuer(self) -> str:
        return super().issuer + urlsplit(PRESETS[self.provider]["issuer"]).path

    def put_into(self, groups: Any) -> None:
        """Let the person be in groups, which the OP says where it does."""
        target = self.claims if self.profile.groups_in == "id_token" else self.account
        target[self.preset.get("groups_claim", "groups")] = groups
        if groups is ABSENT:
            target.pop(self.preset.get("groups_claim", "groups"))

    def settings(self) -> dict[str, Any]:
        """Return what the preset renders into a site's settings, as the team has filled it in."""
        preset = self.preset
        rendered = {setting["name"]: setting["value"] for setting in preset.get("settings", [])}
        rendered |= {"OIDC_GROUPS_CLAIM": preset.get("groups_claim", "groups")}
        rendered |= {"OIDC_RP_SCOPES": preset.get("scopes", "openid email profile")}
        rendered |= {"OIDC_RP_SIGN_ALGO": preset.get("algorithm", "RS256"), "OIDC_OP_ISSUER": self.issuer}
        return rendered | self.profile.filled_in

    def _log_out_of_cognito(self, asked: Asked) -> Page:
        """The LOGOUT endpoint: client_id and logout_uri, which is registered, and nothing of RP-Initiated Logout."""
        expected = {"client_id": self.client[0], "logout_uri": f"{self.site_url}/"}
        if asked.query != expected:
            return pages.page(f"Expected {expected}", status=400)
        self.sessions.clear()
        return pages.redirect(expected["logout_uri"], {})
