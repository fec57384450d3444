"""What is particular about a provider: the entries of presets.toml."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("presets.toml")
# The development OP does not run while questions are asked, so what it would say stands here.
DEVELOPMENT_OP = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "userinfo_endpoint": "userinfo",
    "jwks_uri": "jwks",
    "end_session_endpoint": "end-session",
}
LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])[:/]")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One provider; presets.toml explains the fields."""

    name: str
    label: str
    issuer: str
    issuer_pattern: str = ".*"
    issuer_rule: str = ""
    algorithm: str = "RS256"
    scopes: str = "openid email profile"
    scopes_why: str = ""
    groups_claim: str = "groups"
    groups_why: str = ""
    no_groups_why: str = ""
    groups: str = ""
    claims: str = ""
    email: str = ""
    client: str = ""
    logout: str = ""
    admission: str = ""
    settings: list[dict[str, Any]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    quirks: list[str] = field(default_factory=list)
    refused: str = ""

    def issuer_problem(self, issuer: str) -> str:
        """Return what is wrong with an issuer of this provider, "" if nothing is; one on this machine may be any."""
        is_good = re.fullmatch(self.issuer_pattern, issuer) or LOOPBACK.match(issuer)
        return "" if is_good else f"is none of {self.label}: it {self.issuer_rule}"


@cache
def presets() -> dict[str, Preset]:
    """Return all presets by the answer that chooses them."""
    with FILE.open("rb") as file:
        return {name: Preset(name=name, **values) for name, values in tomllib.load(file).items()}


def chosen(answers: Mapping[str, Any]) -> Preset:
    """Return the preset of the answers: whoever answers `local` and names an OP elsewhere means another one."""
    name, issuer = str(answers.get("oidc_provider", "other")), str(answers.get("oidc_op_issuer", ""))
    is_elsewhere = name == "local" and issuer and not LOOPBACK.match(issuer)
    return presets()["other" if is_elsewhere or name not in presets() else name]


def usual_issuer(provider: str) -> str:
    """Return the issuer to suggest for an answer to `oidc_provider`."""
    return presets()[provider].issuer


def known_metadata(issuer: str) -> dict[str, Any] | None:
    """Return the metadata of an issuer for which nobody has to be asked, None for a real one.

    Suggested issuers are either examples, or so well known that rendering need not wait for them.
    """
    if issuer == usual_issuer("local"):
        endpoints = {name: f"{issuer}/{path}" for name, path in DEVELOPMENT_OP.items()}
        return {"issuer": issuer, **endpoints}
    return {} if issuer in {preset.issuer for preset in presets().values()} else None


def issuer_in_metadata(issuer: str) -> str:
    """Return what the metadata of `issuer` has to name as its issuer: a template where Entra ID has many tenants."""
    many = re.fullmatch(presets()["entra_multi"].issuer_pattern, issuer)
    return issuer.replace(f"/{many[1]}/", "/{tenantid}/") if many else issuer
