"""`manage.py clean_up`: forget what has ended. Run it once a day."""

from datetime import timedelta
from typing import Any

from django.core.management import BaseCommand, CommandParser
from django.utils import timezone

from oidc.internal import session
from oidc.models import SignIn


class Command(BaseCommand):
    help = "Delete expired sessions with what was remembered of them, and old records of logins."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=90, help="how long records of logins are kept (90)")

    def handle(self, *args: Any, days: int, **options: Any) -> None:
        """Clean up; login attempts that are spent leave the cache by themselves."""
        ended, records = session.forget_ended(), 0
        for keys in session.in_batches(SignIn.objects.filter(at__lt=timezone.now() - timedelta(days)).order_by("at")):
            records += SignIn.objects.filter(pk__in=keys).delete()[0]
        self.stdout.write(f"{ended} notes of sessions and {records} records of logins deleted.")
