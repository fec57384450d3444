"""`manage.py clean_up`: forget what is over. Run it once a day."""

from datetime import timedelta
from typing import Any

from django.core.management import BaseCommand, CommandParser, call_command
from django.utils import timezone

from accounts.models import SignIn
from oidc import sessions


class Command(BaseCommand):
    help = "Delete expired sessions with what was noted of them, and old records of sign-ins."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=90, help="how long records of sign-ins are kept (90)")

    def handle(self, *args: Any, days: int, **options: Any) -> None:
        """Clean up; login attempts that are spent leave the cache by themselves."""
        call_command("clearsessions")
        notes = sessions.clean()
        records, _ = SignIn.objects.filter(at__lt=timezone.now() - timedelta(days)).delete()
        self.stdout.write(f"{notes} notes of sessions and {records} records of sign-ins deleted.")
