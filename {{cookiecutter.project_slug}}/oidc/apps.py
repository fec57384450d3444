from django.apps import AppConfig


class OIDCConfig(AppConfig):
    name = "oidc"
    verbose_name = "OpenID Connect"

    def ready(self) -> None:
        from oidc import checks  # noqa: F401 - importing registers the system checks
