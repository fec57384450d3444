"""The environment of the process, read once and judged whole.

Every variable can also be given as a file: `NAME_FILE=/run/secrets/name` stands for `NAME`.
An empty variable counts as one that is not set. Problems are collected, so that an operator
sees all of them at once instead of one per start.
"""

import base64
import os
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

ENV_LINE = re.compile(r"\s*(export\s+)?\w+=")
WEB_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[^\s#]*)?(\?[^\s#]*)?")
LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}


class Environment:
    """Typed access to environment variables that remembers every problem.

    A reading method returns the value, its default, or `None` where the value is missing or
    wrong; `check` then raises for all problems together.
    """

    def __init__(self, env_file: Path) -> None:
        self._problems: list[str] = []
        environ.Env.read_env(StringIO(self._read_file(env_file)))
        self._values = environ.FileAwareEnv().ENVIRON

    def problem(self, name: str, text: str) -> None:
        """Note that the variable `name` is wrong; `text` says how and what to do."""
        self._problems.append(f"{name} {text}")

    def check(self) -> None:
        """Raise `ImproperlyConfigured` that names every missing or wrong variable."""
        if self._problems:
            count = len(self._problems)
            heading = f"The environment has {count} problem{'s' if count > 1 else ''}:"
            raise ImproperlyConfigured("\n  - ".join([heading, *self._problems]))

    def text(self, name: str, default: str | None = "", *, mend: str = "") -> str:
        """Return the value of `name`; with `default=None` it is required, `mend` says how to get one."""
        return self._read(name, str, default, mend)

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean, written as true/false, yes/no, on/off or 1/0."""
        return self._read(name, _flag, default)

    def number(self, name: str, default: float, *, minimum: float = 0) -> Any:
        """Return a number of the type of `default` that is at least `minimum`."""

        def cast(value: str) -> float:
            try:
                number = type(default)(value)
            except ValueError:
                number = None
            if number is None or not minimum <= number < float("inf"):
                raise ValueError(f"must be a {'whole ' if isinstance(default, int) else ''}number from {minimum} up")
            return number

        return self._read(name, cast, default)

    def words(self, name: str, default: list[str]) -> list[str]:
        """Return a list that is written with commas between its items."""
        return self._read(name, lambda value: [word.strip() for word in value.split(",") if word.strip()], default)

    def choice(self, name: str, options: list[str], default: str) -> str:
        """Return one of `options`."""

        def cast(value: str) -> str:
            if value not in options:
                raise ValueError(f"must be one of {', '.join(options)}")
            return value

        return self._read(name, cast, default)

    def url(self, name: str, default: str | None = "", *, mend: str = "") -> str:
        """Return an absolute https URL; http is allowed for this machine (loopback) only."""
        return self._read(name, _web_url, default, mend)

    def key(self, name: str) -> str | bytes | None:
        """Return a public key: PEM (line ends may be written as \\n), base64 of DER, or `NAME_FILE` with either."""
        if path := os.environ.get(f"{name}_FILE"):
            try:
                content = Path(path).read_bytes()
            except OSError as error:
                self.problem(f"{name}_FILE", f"cannot be read from {path}: {error.strerror}.")
                return None
            return content.decode() if content.lstrip().startswith(b"-----BEGIN") else content
        return self._read(name, _key, "") or None

    def database(self, name: str, default: dict[str, Any]) -> dict[str, Any]:
        """Return Django's dictionary for a database URL such as postgres://user:password@host/name."""
        return self._read(name, _database, default)

    def cache(self, name: str, default: str) -> dict[str, Any]:
        """Return Django's dictionary for a cache URL such as redis://host:6379/0."""
        return self._read(name, _cache, _cache(default))

    def _read_file(self, env_file: Path) -> str:
        """Return the good lines of the file, "" if there is none."""
        try:
            lines = env_file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            if "ENV_FILE" in os.environ:
                self.problem("ENV_FILE", f"names {env_file}, which does not exist.")
            return ""
        except (OSError, UnicodeError) as error:
            self.problem(str(env_file), f"cannot be read ({error.__class__.__name__}); it must be UTF-8 text.")
            return ""
        for number, line in enumerate(lines, 1):
            # The line itself may hold a secret.
            if line.strip() and not line.lstrip().startswith("#") and not ENV_LINE.match(line):
                self.problem(f"{env_file.name} line {number}", "is not NAME=value, without spaces around the sign.")
        return "\n".join(line for line in lines if ENV_LINE.match(line))

    def _read(self, name: str, cast: Callable[[str], Any], default: Any, mend: str = "") -> Any:
        try:
            value = self._values.get(name, "").strip()
            if value:
                return cast(value)
        except OSError as error:
            self.problem(name, f"cannot be read from {os.environ.get(name + '_FILE')}: {error.strerror}.")
        except (ValueError, ImproperlyConfigured) as error:
            self.problem(name, f"is wrong: {error}.")
        else:
            if default is None:
                self.problem(name, f"is not set. {mend}".rstrip())
        return default


def is_loopback(url: str) -> bool:
    """Tell whether `url` points to this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def _flag(value: str) -> bool:
    flags = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
    if value.lower() not in flags:
        raise ValueError("must be true or false")
    return flags[value.lower()]


def _web_url(value: str) -> str:
    if not WEB_URL.fullmatch(value):
        raise ValueError("must be an absolute URL such as https://example.org")
    parts = urlsplit(value)
    parts.port  # noqa: B018 - raises for a port that is none
    if parts.scheme == "http" and not is_loopback(value):
        raise ValueError("must begin with https:// (http is for this machine only)")
    return value


def _key(value: str) -> str | bytes:
    if value.startswith("-----BEGIN"):
        return value.replace("\\n", "\n")
    return base64.b64decode(value, validate=True)


def _database(value: str) -> dict[str, Any]:
    try:
        config = environ.Env.db_url_config(value)
    except ValueError:
        # Its own text shows a part of the password.
        config = {}
    if not config or not config["ENGINE"].startswith("django."):
        raise ValueError("must be a URL such as postgres://user:password@host:5432/name (write / and ? as %2F and %3F)")
    return config


def _cache(value: str) -> dict[str, Any]:
    # Valkey speaks Redis's protocol, and Django's Redis backend knows only that scheme.
    return environ.Env.cache_url_config(value.replace("valkey", "redis", 1) if value.startswith("valkey") else value)
