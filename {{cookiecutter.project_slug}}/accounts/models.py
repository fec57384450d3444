from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Upper


class User(AbstractUser):
    """A user of this site. Add fields here, then run `manage.py makemigrations`."""

    class Meta(AbstractUser.Meta):
        # A login looks for names and addresses in any letter case.
        indexes = tuple(models.Index(Upper(name), name=f"accounts_user_upper_{name}") for name in ("username", "email"))
