from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A user of this site. Add fields here, then run `manage.py makemigrations`."""
