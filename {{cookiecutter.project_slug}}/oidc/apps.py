from django.apps import AppConfig


class OIDCConfig(AppConfig):
    """The relying party; its name in the admin is for people."""

    name = "oidc"
    verbose_name = "Logins"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from oidc import audit, checks  # noqa: F401 - importing registers receivers and checks
