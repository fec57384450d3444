"""`manage.py dev`: everything a developer needs to log in, in one command."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import DatabaseError, connection

from dev import provider


class Command(BaseCommand):
    help = "Migrate the database, start the site and, if OIDC_OP_ISSUER is on this machine, the development OP."

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve SITE_URL until Ctrl-C; raises `CommandError` with the mend for whatever stands in the way."""
        if not settings.DEBUG:
            raise CommandError("dev is for development: set DEBUG=true in .env, or serve the site with gunicorn.")
        site = _address(settings.SITE_URL, "SITE_URL")
        issuer = urlsplit(settings.OIDC_OP_ISSUER)
        # Plain http is for this machine only; an OP of the developer's own that runs there is left alone.
        embedded = issuer.scheme == "http" and not issuer.path.strip("/") and not _is_running(settings.OIDC_OP_ISSUER)
        _require_free(*site, "SITE_URL")
        if embedded:
            _require_free("127.0.0.1", issuer.port or 80, "OIDC_OP_ISSUER")
        self._migrate()
        with ExitStack() as stack:
            if embedded:
                try:
                    stack.enter_context(provider.run(issuer.port or 80))
                except ImportError as error:
                    raise CommandError("The development OP is not installed: run `uv sync`.") from error
                self.stdout.write(f"Development OP: {settings.OIDC_OP_ISSUER}  (users: dev/users.json)")
            else:
                self.stdout.write(f"OP:             {settings.OIDC_OP_ISSUER}")
            self.stdout.write(self.style.SUCCESS(f"Site:           {settings.SITE_URL}/"))
            self.stdout.write("Ctrl-C stops both.\n")
            self.stdout.flush()
            self._serve("{}:{}".format(*site))

    def _migrate(self) -> None:
        try:
            connection.ensure_connection()
            call_command("migrate", verbosity=0)
        except DatabaseError as error:
            database = settings.DATABASES["default"]
            place = database["NAME"] if connection.vendor == "sqlite" else database.get("HOST") or "localhost"
            reason = " ".join(str(error).split())
            raise CommandError(
                f"No database at {place} ({reason}). Start it or correct DATABASE_URL in .env; "
                "SQLite needs a folder that can be written."
            ) from error

    def _serve(self, address: str) -> None:
        """Run Django's reloading server as a child and end it together with this process."""
        manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
        server = subprocess.Popen([*manage, "runserver", address], start_new_session=os.name == "posix")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            if code := server.wait():
                raise CommandError(f"The site stopped with exit code {code}; its message stands above.")
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
        finally:
            if server.poll() is None:
                _end(server)


def _end(server: subprocess.Popen) -> None:
    if os.name == "posix":
        # The reloader has a child of its own that must not outlive it.
        os.killpg(server.pid, signal.SIGTERM)
    else:
        server.terminate()
    server.wait(10)


def _address(url: str, name: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise CommandError(f"dev serves plain http on this machine: set {name}=http://localhost:8000 in .env.")
    return ("127.0.0.1" if parts.hostname == "localhost" else str(parts.hostname)), parts.port or 80


def _is_running(issuer: str) -> bool:
    try:
        metadata = requests.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", timeout=1).json()
    except (requests.RequestException, ValueError):
        return False
    return isinstance(metadata, dict) and metadata.get("issuer") == issuer


def _require_free(host: str, port: int, name: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} of {name} cannot be used ({error.strerror}). "
                f"End what uses it, or choose another port in .env."
            ) from error
