"""The settings that this package reads: their names, their defaults, and what happens to a misspelled one."""

import re
from pathlib import Path
from typing import Any

import pytest

import oidc
from oidc.internal.conf import Conf, conf

PACKAGE = Path(oidc.__file__).parent
# A model refers to the user model by a setting, and the checks look at settings that nobody reads.
# logs.py asks only whether Django knows its settings yet.
MAY_READ_SETTINGS = {"internal/conf.py", "checks.py", "models.py", "logs.py"}


def sources() -> dict[str, str]:
    """Return the source of each module that runs in production, by its path."""
    paths = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    own = [path for path in paths if path.parts[0] not in ("testing", "migrations", "tests")]
    return {path.as_posix(): (PACKAGE / path).read_text(encoding="utf-8") for path in own}


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("OIDC_RP_SIGN_ALGO", "RS256"),
        ("OIDC_RP_SCOPES", "openid email profile"),
        ("OIDC_TOKEN_ENDPOINT_AUTH_METHOD", ""),
        ("OIDC_TRUSTED_AUDIENCES", ()),
        ("OIDC_TIMEOUT", 5),
        ("OIDC_RESPONSE_MODE", "query"),
        ("OIDC_USERINFO", "always"),
        ("OIDC_CREATE_USER", True),
        ("OIDC_STORE_ACCESS_TOKEN", False),
        ("OIDC_STORE_ID_TOKEN", True),
        ("OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS", 15 * 60),
        ("OIDC_RENEWAL", "redirect"),
        ("OIDC_RENEWAL_GRACE_SECONDS", 15 * 60),
        ("OIDC_SESSION_MAX_SECONDS", 12 * 60 * 60),
        ("OIDC_REDIRECT_ALLOWED_HOSTS", ()),
        ("OIDC_LOGOUT_DIALECT", "standard"),
        ("OIDC_FRONTCHANNEL_LOGOUT", False),
        ("OIDC_CALLBACK_CLASS", "oidc.views.CallbackView"),
        ("OIDC_AUTHENTICATE_CLASS", "oidc.views.AuthenticateView"),
        ("OIDC_OP_LOGOUT_URL_METHOD", "oidc.logout.end_session_url"),
        ("BREAK_GLASS_LOGIN", False),
    ],
)
def test_a_setting_that_is_not_set_has_its_default(name: str, default: Any) -> None:
    assert getattr(conf, name) == default


def test_a_setting_is_looked_up_at_every_use(settings) -> None:
    settings.OIDC_TIMEOUT = 1
    assert conf.OIDC_TIMEOUT == 1
    settings.OIDC_TIMEOUT = 2
    assert conf.OIDC_TIMEOUT == 2
    del settings.OIDC_TIMEOUT
    assert conf.OIDC_TIMEOUT == 5


@pytest.mark.parametrize(("name", "value"), [("OIDC_STORE_ID_TOKEN", False), ("OIDC_RENEWAL_GRACE_SECONDS", 0)])
def test_false_and_zero_are_not_the_default(settings, name: str, value: object) -> None:
    setattr(settings, name, value)
    assert getattr(conf, name) == value


@pytest.mark.parametrize("name", ["OIDC_RP_CLIENT_SECRT", "oidc_timeout", "ANOTHER_APPS_SETTING"])
def test_a_misspelled_setting_is_an_attribute_error_with_its_name(settings, name: str) -> None:
    """Even where the site has set the misspelled one, too."""
    setattr(settings, name, "x")
    with pytest.raises(AttributeError, match=name):
        getattr(conf, name)


def test_every_setting_has_a_type_and_a_default() -> None:
    assert set(Conf.__annotations__) == {name for name in vars(Conf) if name.isupper()}


@pytest.mark.parametrize("path", sorted(sources()))
def test_every_setting_that_a_module_reads_exists(path: str) -> None:
    read = set(re.findall(r"\bconf\.([A-Z_]+)\b", sources()[path]))
    assert read <= set(Conf.__annotations__)


def test_every_setting_is_read_somewhere() -> None:
    text = "\n".join(text for path, text in sources().items() if path != "internal/conf.py")
    assert [name for name in Conf.__annotations__ if name not in text] == []


@pytest.mark.parametrize("path", sorted(sources().keys() - MAY_READ_SETTINGS))
def test_no_other_module_reads_settings(path: str) -> None:
    assert "django.conf" not in sources()[path]
