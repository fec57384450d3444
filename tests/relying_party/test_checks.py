"""The system checks: what would make logins fail or unsafe is said before the first login."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.checks import CheckMessage, run_checks

from oidc.internal.conf import Conf
from oidc.testing.op import OP, private_key


def messages(*, deploy: bool = False) -> list[CheckMessage]:
    """Return what the checks of this package say."""
    return [message for message in run_checks(include_deployment_checks=deploy) if str(message.id).startswith("oidc.")]


def short_key() -> bytes:
    key = rsa.generate_private_key(65537, 1024).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("changes", "identifier"),
    [
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}, "oidc.E001"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "oidc.E002"),
        ({"OIDC_RP_IDP_SIGN_KEY": b"not a key"}, "oidc.E003"),
        ({"OIDC_RP_IDP_SIGN_KEY": "not a key"}, "oidc.E003"),
        pytest.param({"OIDC_RP_IDP_SIGN_KEY": short_key()}, "oidc.E003", id="short-key"),
        ({"OIDC_RP_SIGN_ALGO": "none"}, "oidc.E004"),
        ({"OIDC_RP_SIGN_ALGO": "HS512"}, "oidc.E004"),
        ({"OIDC_USERINFO_SIGN_ALGO": "none"}, "oidc.E004"),
        ({"OIDC_OP_ISSUER": "https://op.example.org/.well-known/openid-configuration"}, "oidc.E005"),
        ({"OIDC_FAILED_LOGINS_PER_MINUTE": -1}, "oidc.E012"),
        ({"OIDC_FAILED_LOGINS_PER_MINUTE": "20"}, "oidc.E012"),
        ({"OIDC_FAILED_LOGINS_PER_MINUTE": True}, "oidc.E012"),
        ({"OIDC_RP_SIGN_ALGO": "HS256", "OIDC_RP_CLIENT_SECRET": "x" * 31}, "oidc.W001"),
        ({"OIDC_USERINFO_SIGN_ALGO": "HS256", "OIDC_RP_CLIENT_SECRET": "x" * 31}, "oidc.W001"),
        ({"LOGIN_REDIRECT_URL_FAILURE": "/failed/"}, "oidc.W002"),
        ({"OIDC_DRF_AUTH_BACKEND": "x.Backend"}, "oidc.W002"),
        ({"OIDC_RP_CLIENT_SECRT": "x"}, "oidc.W002"),
        ({"CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}}, "oidc.I001"),
        ({"CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}}, "oidc.I001"),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(settings, changes: dict[str, Any], identifier: str) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    (message,) = [message for message in messages(deploy=True) if message.id == identifier]
    assert message.hint
    assert any(name.removesuffix("S") in f"{message.msg} {message.hint}" for name in changes)


@pytest.mark.parametrize("algorithm", ["RS256", "HS256"])
def test_a_sound_configuration_has_nothing_to_say(settings, algorithm: str) -> None:
    settings.OIDC_RP_SIGN_ALGO, settings.OIDC_RP_CLIENT_SECRET = algorithm, "x" * 32
    assert messages() == []


def test_a_public_key_and_a_shared_cache_have_nothing_to_say(settings) -> None:
    public_key = private_key("RSA", 1).public_key()
    settings.OIDC_RP_IDP_SIGN_KEY = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://x"}}
    assert messages(deploy=True) == []


def test_a_local_cache_is_fine_during_development(settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert messages() == []


@pytest.mark.parametrize(
    ("misspelled", "nearest"),
    [
        ("OIDC_RP_CLIENT_SECRT", "OIDC_RP_CLIENT_SECRET"),
        ("OIDC_OP_ISUER", "OIDC_OP_ISSUER"),
        ("OIDC_OP_USERINFO_ENDPOINT", "OIDC_OP_USER_ENDPOINT"),
        ("OIDC_RENEWAL_GRACE_SECOND", "OIDC_RENEWAL_GRACE_SECONDS"),
        ("OIDC_GROUP_CLAIM", "OIDC_GROUPS_CLAIM"),
    ],
)
def test_a_misspelled_setting_is_named_with_its_nearest_neighbour(settings, misspelled: str, nearest: str) -> None:
    setattr(settings, misspelled, "x")
    (message,) = messages()
    assert (message.id, message.msg) == ("oidc.W002", f"Nothing reads the setting {misspelled}.")
    assert message.hint == f"Did you mean {nearest}?"


def test_a_setting_like_no_other_gets_no_guess(settings) -> None:
    settings.OIDC_FAVOURITE_COLOUR = 1
    (message,) = messages()
    assert message.msg == "Nothing reads the setting OIDC_FAVOURITE_COLOUR."
    assert "Did you mean" not in message.hint


@pytest.mark.parametrize("name", ["OIDC_VERIFY_SSL", "OIDC_USE_NONCE", "OIDC_USE_PKCE", "OIDC_REDIRECT_REQUIRE_HTTPS"])
def test_a_setting_that_cannot_be_turned_off_is_to_be_removed(settings, name: str) -> None:
    setattr(settings, name, False)
    (message,) = messages()
    assert message.hint.startswith("Remove it:")


@pytest.mark.parametrize("name", ["LOGIN_REDIRECT_URL_FAILURE", "OIDC_DRF_AUTH_BACKEND"])
def test_a_setting_of_the_library_that_means_nothing_here_is_told_what_there_is_instead(settings, name: str) -> None:
    setattr(settings, name, "x")
    (message,) = messages()
    assert message.msg == f"Nothing reads the setting {name}."
    assert "oidc/" in message.hint


def test_every_misspelled_setting_is_named(settings) -> None:
    settings.OIDC_RP_CLIENT_IDD = settings.OIDC_TIMEOUTS = "x"
    assert [message.msg for message in messages()] == [
        "Nothing reads the setting OIDC_RP_CLIENT_IDD.",
        "Nothing reads the setting OIDC_TIMEOUTS.",
    ]


def test_settings_that_somebody_reads_are_left_alone(settings) -> None:
    names = [name for name in vars(Conf) if name.startswith("OIDC_")]
    names += ["OIDC_GROUPS_CLAIM", "OIDC_STAFF_GROUPS", "OIDC_SUPERUSER_GROUPS", "NOT_OIDC"]
    for name in names:
        setattr(settings, name, getattr(settings, name, getattr(Conf, name, "")))
    assert messages() == []


def test_checks_ask_the_op_nothing(op: OP) -> None:
    messages(deploy=True)
    assert op.requests == []
