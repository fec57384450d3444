"""`manage.py deactivate_user`: shut a person out, now."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.template.defaultfilters import pluralize

from oidc.internal import session
from oidc.models import Identity
from oidc.signals import user_deactivated


class Command(BaseCommand):
    help = "Deactivate a user and end the sessions of that person."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("who", help="the e-mail address, the subject at the OP, or the username")

    def handle(self, *args: Any, who: str, **options: Any) -> None:
        """Deactivate the one user whom `who` names; raises `CommandError` if it names none or several."""
        model = get_user_model()
        named = Q(email__iexact=who) | Q(identities__subject=who) | Q(**{model.USERNAME_FIELD: who})
        # Nothing, as from an empty shell variable, would name whoever has no address.
        users = list(model._default_manager.filter(named).distinct()) if who else []
        if not users:
            raise CommandError(f"No user has the address, subject or username {who}.")
        if len(users) > 1:
            names = ", ".join(sorted(user.get_username() for user in users))
            raise CommandError(f"{len(users)} users have it: {names}. Name one by subject or username.")
        user = users[0]
        user.is_active = False
        user.save(update_fields=["is_active"])
        identities = Identity.objects.filter(user=user).values_list("issuer", "subject")
        ended = sum(session.end(issuer, subject=subject) for issuer, subject in identities)
        user_deactivated.send_robust(type(user), user=user, sessions=ended)
        self.stdout.write(f"{user.get_username()} is deactivated; {ended} session{pluralize(ended)} ended.")
