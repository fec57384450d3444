from django.apps import AppConfig


class DevConfig(AppConfig):
    """The `dev` command. It is installed only where DEBUG is on."""

    name = "dev"
