from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, str]:
    """Return what every page shows."""
    return {"site_name": settings.SITE_NAME}
