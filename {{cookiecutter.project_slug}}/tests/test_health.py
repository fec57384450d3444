"""What load balancers ask."""

import pytest


@pytest.mark.parametrize("url", ["/healthz", "/readyz"])
def test_a_probe_may_use_http_and_any_host_and_needs_no_sign_in_service(client, db, settings, url: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.OIDC_OP_ISSUER = "http://localhost:1"
    assert client.get(url, headers={"host": "10.1.2.3:8000"}).status_code == 200


def test_readiness_names_what_is_down(client, db, settings) -> None:
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://localhost:1"}}
    response = client.get("/readyz")
    assert (response.status_code, response.content) == (503, b"not ready: cache\n")
