"""`manage.py dev`: everything a developer needs to log in, in one command."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import DatabaseError, connection

from dev.environment import is_development_op
from oidc.testing.op import OP

USERS_FILE = Path(settings.BASE_DIR) / "dev" / "users.json"


class Command(BaseCommand):
    help = "Migrate the database and start the site, and its own sign-in service if OIDC_OP_ISSUER is on this machine."

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve SITE_URL until Ctrl-C; raises `CommandError` that says what stands in the way."""
        site, issuer = urlsplit(settings.SITE_URL), settings.OIDC_OP_ISSUER
        if site.scheme != "http":
            raise CommandError("dev serves plain http on this machine: set SITE_URL=http://localhost:8000 in .env.")
        host, port = "127.0.0.1" if site.hostname == "localhost" else str(site.hostname), site.port or 80
        _require_free(host, port, "SITE_URL")
        self._migrate()
        # A real OpenID Provider on this machine is left alone.
        is_ours = is_development_op(issuer) and not _is_running(issuer)
        with development_op(issuer) if is_ours else nullcontext():
            self.stdout.write(f"Sign-in service: {issuer}{'  (its users: dev/users.json)' if is_ours else ''}")
            self.stdout.write(self.style.SUCCESS(f"Site:            {settings.SITE_URL}/"))
            self.stdout.write("Ctrl-C stops everything. After a change of .env, start again.\n")
            self.stdout.flush()
            self._serve(f"{host}:{port}")

    def _migrate(self) -> None:
        try:
            connection.ensure_connection()
            call_command("migrate", verbosity=0)
        except DatabaseError as error:
            database = settings.DATABASES["default"]
            place = database["NAME"] if connection.vendor == "sqlite" else database.get("HOST") or "localhost"
            reason = " ".join(str(error).split())
            raise CommandError(f"No database at {place} ({reason}). Start it, or correct DATABASE_URL.") from error

    def _serve(self, address: str) -> None:
        """Run Django's reloading server as a child and end it together with this process."""
        manage = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
        server = subprocess.Popen([*manage, "runserver", address], start_new_session=os.name == "posix")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            if code := server.wait():
                raise CommandError(f"The site stopped with exit code {code}; see its message above.")
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
        finally:
            if server.poll() is None:
                if os.name == "posix":
                    os.killpg(server.pid, signal.SIGTERM)  # with the reloader's own child, which must not outlive it
                else:
                    server.terminate()
                server.wait(10)


def development_op(issuer: str) -> OP:
    """Serve the issuer with the people of users.json, which may change meanwhile."""
    host, port = str(urlsplit(issuer).hostname), urlsplit(issuer).port or 80
    _require_free("127.0.0.1", port, "OIDC_OP_ISSUER")
    op = OP(host=host, port=port, site_url=settings.SITE_URL, backchannel=True)
    op.client = (settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET)
    op.users = lambda: json.loads(USERS_FILE.read_text(encoding="utf-8"))
    op.sign_with(settings.OIDC_RP_SIGN_ALGO)
    return op


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
            problem = f"Port {port} of {name} cannot be used ({error.strerror})."
            raise CommandError(f"{problem} Stop what uses it, or choose another port.") from error
