"""`manage.py deactivate_user`: shut a person out, now."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from accounts.models import User
from accounts.signals import user_deactivated
from oidc import sessions


class Command(BaseCommand):
    help = "Deactivate a user and end the sessions of that person."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", help="the e-mail address, the subject at the OP, or the username")

    def handle(self, *args: Any, who: str, **options: Any) -> None:
        """Deactivate the one user whom `who` names; raises `CommandError` if it names none or several."""
        named = Q(email__iexact=who) | Q(identities__subject=who) | Q(username=who)
        users = list(User.objects.filter(named).distinct())
        if not users:
            raise CommandError(f"No user has the address, subject or username {who}.")
        if len(users) > 1:
            names = ", ".join(sorted(user.username for user in users))
            raise CommandError(f"{len(users)} users have it: {names}. Name one by subject or username.")
        user = users[0]
        user.is_active = False
        user.save(update_fields=["is_active"])
        identities = user.identities.values_list("issuer", "subject")
        ended = sum(sessions.end(issuer, subject=subject) for issuer, subject in identities)
        user_deactivated.send(User, user=user, sessions=ended)
        self.stdout.write(f"{user.username} is deactivated; {ended} session{'' if ended == 1 else 's'} ended.")
