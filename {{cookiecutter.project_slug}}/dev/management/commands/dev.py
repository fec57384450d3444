"""`manage.py dev`: everything a developer needs to log in, in one command."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.management import BaseCommand, CommandError, call_command
from django.db import DatabaseError, connection

from dev.environment import INHERITED, is_development_op
from oidc.testing.bench import Bench
from oidc.testing.op import OP, Claims

MANAGE = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py")]
ENV_FILE = Path(INHERITED.get("ENV_FILE", Path(settings.BASE_DIR) / ".env"))
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
        if is_ours:
            let_staff_look()
        with development_op(issuer, self.stderr.write) if is_ours else nullcontext() as op:
            self._introduce(op)
            is_over = self._serve(f"{host}:{port}")
        if not is_over:
            self.stdout.write("\n.env has changed: everything starts again.\n")
            self.stdout.flush()
            # In this very process, so that Ctrl-C goes on reaching it.
            os.execve(MANAGE[0], [*MANAGE, "dev"], INHERITED)  # noqa: S606

    def _migrate(self) -> None:
        try:
            connection.ensure_connection()
            call_command("migrate", verbosity=0)
        except DatabaseError as error:
            database = settings.DATABASES["default"]
            place = database["NAME"] if connection.vendor == "sqlite" else database.get("HOST") or "localhost"
            reason = " ".join(str(error).split())
            raise CommandError(f"No database at {place} ({reason}). Start it, or correct DATABASE_URL.") from error

    def _introduce(self, op: OP | None) -> None:
        """Say what runs where, and who can log in."""
        bench = "/  (try there what can go wrong)" if op else ""
        self.stdout.write(self.style.SUCCESS(f"Site:            {settings.SITE_URL}/"))
        self.stdout.write(f"Sign-in service: {settings.OIDC_OP_ISSUER}{bench}")
        for user in op.users() if op else ():
            self.stdout.write(f"  {user.get('preferred_username', user['sub']):14} {user.get('about', '')}")
        self.stdout.write("Changes of code, .env and dev/users.json are noticed. Ctrl-C stops everything.\n")
        self.stdout.flush()

    def _serve(self, address: str) -> bool:
        """Run Django's server as a child until Ctrl-C; return False once a change of `.env` has to take effect."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGINT, _interrupt_once)
        # With this variable it watches the code, and leaves it to its parent to start it again.
        environment = INHERITED | {"RUN_MAIN": "true", "DJANGO_RUNSERVER_HIDE_WARNING": "true"}
        server, seen = None, _content(ENV_FILE)
        try:
            while True:
                server = server or subprocess.Popen([*MANAGE, "runserver", address], env=environment)
                with suppress(subprocess.TimeoutExpired):
                    if (code := server.wait(1)) == 0:
                        return True
                    if code != 3:  # Django's code for a change of code
                        raise CommandError(f"The site stopped with exit code {code}; see its message above.")
                    server = None
                if (content := _content(ENV_FILE)) != seen:
                    seen = content
                    if subprocess.run([*MANAGE, "check"], env=INHERITED, stdout=subprocess.DEVNULL).returncode == 0:
                        return False
                    self.stderr.write("The site goes on with .env as it was before.")
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
            return True
        finally:
            if server and server.poll() is None:
                server.terminate()
                server.wait(10)


def _interrupt_once(*_: object) -> None:
    """Stop at Ctrl-C; what runs this command may pass the signal on once more, in the middle of stopping."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def development_op(issuer: str, report: Callable[[str], object]) -> OP:
    """Serve the issuer for the people of users.json, with a bench of mishaps; `report` is told of a broken file."""
    host, port = str(urlsplit(issuer).hostname), urlsplit(issuer).port or 80
    _require_free("127.0.0.1", port, "OIDC_OP_ISSUER")
    op, known = OP(host=host, port=port, site_url=settings.SITE_URL, backchannel=True), list[Claims]()

    def users() -> list[Claims]:
        nonlocal known  # while the file is broken, people are those from before
        try:
            known, op.users_problem = read_users(), ""
        except ValueError as error:
            if str(error) != op.users_problem:
                report(str(error))
            op.users_problem = str(error)
        return known

    op.users, op.users_file = users, "dev/users.json"
    op.client = (settings.OIDC_RP_CLIENT_ID, settings.OIDC_RP_CLIENT_SECRET)
    op.sign_with(settings.OIDC_RP_SIGN_ALGO)
    Bench(op)
    return op


def read_users() -> list[Claims]:
    """Return the people of users.json; raises `ValueError` that says what is wrong with the file."""
    try:
        users = json.loads(USERS_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"dev/users.json cannot be read: {error}") from None
    people = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else [{}]
    if len({user["sub"] for user in people if isinstance(user.get("sub") or None, str)}) < len(users or people):
        raise ValueError('dev/users.json has to be a list of objects, each with a text "sub" of its own.')
    return people


def let_staff_look() -> None:
    """Let sample staff look at everything in the admin, unless their group is there already."""
    staff, is_new = Group.objects.get_or_create(name="Staff")
    if is_new:
        staff.permissions.set(Permission.objects.filter(codename__startswith="view_"))


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


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
