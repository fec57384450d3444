"""What is usual for a provider. Endpoints are not here: discovery gives those."""

LOCAL_ISSUER = "http://localhost:9400"

# Issuers of the services that have one for everybody; the others show the shape to fill in.
USUAL_ISSUERS = {
    "local": LOCAL_ISSUER,
    "keycloak": "https://keycloak.example.org/realms/my-realm",
    "entra": "https://login.microsoftonline.com/your-tenant-id/v2.0",
    "google": "https://accounts.google.com",
    "okta": "https://your-org.okta.com",
    "auth0": "https://your-tenant.auth0.com/",
    "cognito": "https://cognito-idp.eu-central-1.amazonaws.com/your-pool-id",
    "gitlab": "https://gitlab.com",
    "authentik": "https://authentik.example.org/application/o/my-site/",
    "zitadel": "https://your-instance.zitadel.cloud",
    "other": "https://op.example.org",
}

# The development OP does not run while questions are asked, so its metadata stand here.
LOCAL_METADATA = {
    "issuer": LOCAL_ISSUER,
    "authorization_endpoint": f"{LOCAL_ISSUER}/authorize",
    "token_endpoint": f"{LOCAL_ISSUER}/token",
    "userinfo_endpoint": f"{LOCAL_ISSUER}/userinfo",
    "jwks_uri": f"{LOCAL_ISSUER}/jwks",
    "end_session_endpoint": f"{LOCAL_ISSUER}/end-session",
}


def usual_issuer(provider: str) -> str:
    """Return the issuer to suggest for an answer to `oidc_provider`."""
    return USUAL_ISSUERS[provider]
