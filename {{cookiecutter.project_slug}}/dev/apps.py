from django.apps import AppConfig


class DevConfig(AppConfig):
    """What only developers need: the development OP, its users, and the `dev` command."""

    name = "dev"
