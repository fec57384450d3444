"""The environment of the process and of `.env`, read once and judged as a whole."""

import base64
import difflib
import os
import re
import warnings
from collections.abc import Callable
from io import StringIO
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from oidc.names import SETTINGS

T = TypeVar("T")
ENV_LINE = re.compile(r"(export )?[A-Za-z0-9_]+=|#|\Z")
WEB_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[^\s#]*)?(\?[^\s#]*)?")
LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}
FLAGS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


class Environment:
    """Typed access to environment variables. `check` reports all problems at once, instead of one per start.

    `NAME_FILE=/run/secrets/name` stands for `NAME`, and an empty variable counts as not set. A variable for which
    there is a `hint` is required; the hint says where to get one.
    """

    # `manage.py oidc_doctor` alone goes on and prints the problems among everything else that it finds.
    is_lenient = False

    def __init__(self, env_file: Path) -> None:
        self._problems: list[str] = []
        self._known: set[str] = set()
        environ.Env.read_env(StringIO(self._good_lines(env_file)))

    def problem(self, name: str, text: str) -> None:
        """Remember that the variable `name` is wrong; `text` says how, and what to do."""
        self._problems.append(f"{name} {text}")

    def check(self) -> list[str]:
        """Raise `ImproperlyConfigured` for all problems so far, and for each `OIDC_*` variable that nothing reads.

        Return them where `is_lenient` is on.
        """
        for name in sorted({key.removesuffix("_FILE") for key in os.environ if key.startswith("OIDC_")} - self._known):
            nearest = difflib.get_close_matches(name, sorted(self._known), 1, cutoff=0)[0]
            hint = "It is a plain setting: set it in config/settings.py." if name in SETTINGS else ""
            self.problem(name, f"is not a variable of this site. {hint or f'The nearest one is {nearest}.'}")
        if self._problems and not self.is_lenient:
            raise ImproperlyConfigured("\n  - ".join(["The environment has problems:", *self._problems]))
        return self._problems

    def text(self, name: str, default: str = "", hint: str = "") -> str:
        """Return the value as it is."""
        return self._read(name, str, default, hint)

    def url(self, name: str, hint: str = "") -> str:
        """Return an absolute https URL; http is allowed for this machine (loopback) only."""
        return self._read(name, _web_url, "", hint)

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean, written as true/false, yes/no, on/off or 1/0."""
        return FLAGS[self.choice(name, list(FLAGS), str(default).lower())]

    def number(self, name: str, default: int) -> int:
        """Return a whole number from 0 up."""
        value = self.text(name, str(default))
        if not value.isdecimal():
            self.problem(name, "is wrong: must be a whole number from 0 up.")
        return int(value) if value.isdecimal() else default

    def words(self, name: str) -> list[str]:
        """Return a list that is written with commas between its items."""
        return [word.strip() for word in self.text(name).split(",") if word.strip()]

    def networks(self, name: str) -> list[IPv4Network | IPv6Network]:
        """Return IP addresses and networks, written with commas between them; `*` stands for all."""
        return self._read(name, _networks, [])

    def choice(self, name: str, options: list[str], default: str) -> str:
        """Return one of `options`, which may be written in capitals too."""
        spellings = {option.lower(): option for option in options}
        if (value := self.text(name, default).lower()) not in spellings:
            self.problem(name, f"is wrong: must be one of {', '.join(options)}.")
        return spellings.get(value, default)

    def key(self, name: str) -> str | bytes | None:
        """Return a public key: PEM (line ends may be written as \\n), base64 of DER, or a file with PEM or DER."""
        return self._read_bytes(name, _key, None)

    def database(self, name: str, default: dict[str, Any]) -> dict[str, Any]:
        """Return Django's dictionary for a database URL such as postgres://user:password@host/name."""
        return self._read(name, _database, default)

    def cache(self, name: str, default: str) -> dict[str, Any]:
        """Return Django's dictionary for a cache URL such as redis://host:6379/0."""
        return self._read(name, _cache, _cache(default))

    def _good_lines(self, env_file: Path) -> str:
        try:
            lines = [line.strip() for line in env_file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeError) as error:
            if "ENV_FILE" in os.environ or not isinstance(error, FileNotFoundError):
                self.problem(str(env_file), f"cannot be read as UTF-8 text ({type(error).__name__}).")
            return ""
        for number in (number for number, line in enumerate(lines, 1) if not ENV_LINE.match(line)):
            # The line itself may hold a secret.
            self.problem(f"{env_file.name} line {number}", "must be NAME=value, without spaces around the sign.")
        return "\n".join(filter(ENV_LINE.match, lines))

    def _read(self, name: str, cast: Callable[[str], T], default: T, hint: str = "") -> T:
        return self._read_bytes(name, lambda value: cast(value.decode().strip()), default, hint)

    def _read_bytes(self, name: str, cast: Callable[[bytes], T], default: T, hint: str = "") -> T:
        self._known.add(name)
        path = os.environ.get(f"{name}_FILE")
        try:
            value = Path(path).read_bytes() if path else os.environ.get(name, "").encode()
            if value.strip():
                return cast(value)
            if hint:
                self.problem(name, f"is not set. {hint}")
        except OSError as error:
            self.problem(f"{name}_FILE", f"cannot be read from {path}: {error.strerror}.")
        except (ValueError, ImproperlyConfigured) as error:
            self.problem(name, f"is wrong: {error}.")
        return default


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if not WEB_URL.fullmatch(value) or parts.port == 0:
        raise ValueError("must be an absolute URL such as https://example.org")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("must begin with https:// (http is for this machine only)")
    return value


def _key(value: bytes) -> str | bytes:
    if value.lstrip().startswith(b"-----BEGIN"):
        return value.decode().strip().replace("\\n", "\n")
    # DER begins with this byte, and base64 of DER never does.
    return value if value.startswith(b"\x30") else base64.b64decode(value.strip(), validate=True)


def _networks(value: str) -> list[IPv4Network | IPv6Network]:
    words = [word.strip() for word in value.replace("*", "0.0.0.0/0,::/0").split(",")]
    try:
        return [ip_network(word) for word in words if word]
    except ValueError:
        raise ValueError("must be addresses or networks with commas between, such as 10.0.0.2,10.1.0.0/16") from None


def _database(value: str) -> dict[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of what it cannot read, with the password in it
            config: dict[str, Any] = environ.Env.db_url_config(value)
    except ValueError:  # its message shows a part of the password
        config = {}
    if not config.get("ENGINE", "").startswith("django."):
        raise ValueError("must be a URL such as postgres://user:password@host:5432/name (write / and ? as %2F and %3F)")
    return config


def _cache(value: str) -> dict[str, Any]:
    # Valkey speaks Redis's protocol, and Django's Redis backend knows only that scheme.
    config: dict[str, Any] = environ.Env.cache_url_config(re.sub("^valkey", "redis", value))
    return config
