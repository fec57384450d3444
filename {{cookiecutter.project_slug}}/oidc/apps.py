from django.apps import AppConfig


class OIDCConfig(AppConfig):
    name = "oidc"
    verbose_name = "OpenID Connect"

    def ready(self) -> None:
        from oidc import checks, sessions  # noqa: F401 - importing registers checks and receivers
