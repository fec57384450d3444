from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Upper


class User(AbstractUser):
    """A user of this site. Add fields here, then run `manage.py makemigrations`."""

    class Meta(AbstractUser.Meta):
        # A login looks for names and addresses in any letter case.
        indexes = (
            models.Index(Upper("username"), name="accounts_user_upper_username"),
            models.Index(Upper("email"), name="accounts_user_upper_email"),
        )
