"""The system checks: what would make logins fail or unsafe is said before the first login."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.checks import run_checks

DATABASE_FREE = "django.core.cache.backends"


def short_key() -> bytes:
    key = rsa.generate_private_key(65537, 1024).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("changes", "identifier"),
    [
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}, "oidc.E001"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "oidc.E002"),
        ({"OIDC_RP_IDP_SIGN_KEY": b"no key"}, "oidc.E003"),
        ({"OIDC_RP_IDP_SIGN_KEY": short_key()}, "oidc.E003"),
        ({"OIDC_RP_SIGN_ALGO": "none"}, "oidc.E004"),
        ({"OIDC_RP_SIGN_ALGO": "HS256", "OIDC_RP_CLIENT_SECRET": "x" * 31}, "oidc.W001"),
        ({"CACHES": {"default": {"BACKEND": f"{DATABASE_FREE}.locmem.LocMemCache"}}}, "oidc.I001"),
    ],
)
def test_what_is_unsafe_is_said(settings, changes: dict, identifier: str) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    found = [message for message in run_checks(include_deployment_checks=True) if message.id == identifier]
    assert len(found) == 1
    assert found[0].hint


@pytest.mark.parametrize("algorithm", ["RS256", "HS256"])
def test_a_sound_configuration_has_nothing_to_say(settings, algorithm: str) -> None:
    settings.OIDC_RP_SIGN_ALGO, settings.OIDC_RP_CLIENT_SECRET = algorithm, "x" * 32
    assert not [message for message in run_checks() if message.id.startswith("oidc.")]
