"""System checks for what would make logins fail or unsafe, as far as it can be known without asking the OP.

`oidc/TROUBLESHOOTING.md` explains each by its id. https://docs.djangoproject.com/en/stable/topics/checks/
"""

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.checks import Warning as CheckWarning
from django.http.request import split_domain_port, validate_host
from django.urls import NoReverseMatch

from oidc import names
from oidc.internal import discovery, keys, redirects, tenants
from oidc.internal.conf import conf

# What Django takes while DEBUG is on and ALLOWED_HOSTS is empty.
OF_DEBUG = [".localhost", "127.0.0.1", "[::1]"]


@register(Tags.security)
def check_values(**kwargs: Any) -> Iterator[CheckMessage]:
    """What is set about the OP has values with which logins work and are safe."""
    try:
        if conf.OIDC_RP_IDP_SIGN_KEY:
            keys.load_public_key(conf.OIDC_RP_IDP_SIGN_KEY)
    except ValueError:
        hint = "Give the OP's public key or certificate in PEM or DER format, or leave it unset."
        yield Error("OIDC_RP_IDP_SIGN_KEY is not a public key.", hint, id="oidc.E003")
    algorithms = {"OIDC_RP_SIGN_ALGO": conf.OIDC_RP_SIGN_ALGO}
    algorithms |= {"OIDC_USERINFO_SIGN_ALGO": conf.OIDC_USERINFO_SIGN_ALGO} if conf.OIDC_USERINFO_SIGN_ALGO else {}
    for name, algorithm in algorithms.items():
        if algorithm not in keys.SUPPORTED:
            message = f"{name} is {algorithm!r}, which this site does not verify."
            yield Error(message, f"Use one of {', '.join(keys.SUPPORTED)}.", id="oidc.E004")
    if hint := discovery.issuer_hint(conf.OIDC_OP_ISSUER):
        yield Error("OIDC_OP_ISSUER is the address of a discovery document.", hint, id="oidc.E005")
    has_tenants = conf.OIDC_TENANTS or not tenants.MANY_TENANTS.fullmatch(conf.OIDC_OP_ISSUER)
    if not has_tenants or not all(map(tenants.TENANT_ID.fullmatch, conf.OIDC_TENANTS)):
        hint = "List the ids of the tenants whose people may log in, in small letters: OIDC_OP_ISSUER is that of many."
        yield Error("OIDC_TENANTS is empty, or has something else than ids of tenants.", hint, id="oidc.E011")
    if type(limit := conf.OIDC_FAILED_LOGINS_PER_MINUTE) is not int or limit < 0:
        message = f"OIDC_FAILED_LOGINS_PER_MINUTE is {limit!r}, which is not a whole number from 0 up."
        yield Error(message, "Set it to how many logins of one client may fail in a minute.", id="oidc.E012")
    if "HS256" in algorithms.values() and len(conf.OIDC_RP_CLIENT_SECRET.encode()) < 32:
        # A secret that signs has to be as long as the hash (RFC 7518 3.2).
        message = "OIDC_RP_CLIENT_SECRET is shorter than 32 bytes, and with HS256 whoever guesses it can forge logins."
        yield CheckWarning(message, "Let the OP make a longer one, or sign with RS256.", id="oidc.W001")


@register(Tags.security)
def check_names(**kwargs: Any) -> Iterator[CheckMessage]:
    """Every setting for logins is one that somebody reads: a misspelled one would be ignored."""
    for name in names.unread(dir(settings)):
        yield CheckWarning(f"Nothing reads the setting {name}.", names.hint(name), id="oidc.W002")


@register(Tags.security)
def check_address(**kwargs: Any) -> Iterator[CheckMessage]:
    """The OP can send browsers back to SITE_URL, and this site serves them there."""
    site = urlsplit(conf.SITE_URL)
    if site.scheme not in ("http", "https") or not site.hostname:
        message = "SITE_URL is not a URL, and the redirect URI of every login begins with it."
        yield Error(message, "Set it to where people find this site, such as https://app.example.org.", id="oidc.E006")
    elif not validate_host(split_domain_port(site.netloc)[0], settings.ALLOWED_HOSTS or OF_DEBUG * settings.DEBUG):
        message = f"ALLOWED_HOSTS does not have {site.hostname}, so whoever comes back from the OP gets 400."
        yield Error(message, "Add the host of SITE_URL to it.", id="oidc.E007")
    elif site.scheme == "http" and site.hostname not in discovery.LOOPBACK_HOSTS:
        message = "SITE_URL is plain http: codes and session cookies can be read on their way."
        yield CheckWarning(message, "Serve the site over https, and set SITE_URL to that.", id="oidc.W003")
    elif site.scheme == "https" and not any(o == conf.SITE_URL or "*" in o for o in settings.CSRF_TRUSTED_ORIGINS):
        message = "CSRF_TRUSTED_ORIGINS does not have SITE_URL: behind a proxy that ends TLS, forms are refused."
        yield CheckWarning(message, f"Add {conf.SITE_URL} to it.", id="oidc.W004")
    try:
        redirects.callback_url()
    except NoReverseMatch:
        message = "OIDC_AUTHENTICATION_CALLBACK_URL is not the name of a URL pattern of this site."
        hint = "Leave it unset; the host of the redirect URI is that of SITE_URL."
        yield Error(message, hint, id="oidc.E008")


@register(Tags.security, deploy=True)
def check_proxy(**kwargs: Any) -> Iterator[CheckMessage]:
    """Behind a proxy that ends TLS, Django knows that people use https."""
    if conf.SITE_URL.startswith("https://") and not settings.SECURE_PROXY_SSL_HEADER:
        message = "X-Forwarded-Proto is not believed: behind a proxy that ends TLS, pages redirect to themselves."
        hint = "Name the proxy in FORWARDED_ALLOW_IPS, if it always sets that header itself (SECURE_PROXY_SSL_HEADER)."
        yield Info(message, hint, id="oidc.I002")


@register(Tags.security)
def check_sessions(**kwargs: Any) -> Iterator[CheckMessage]:
    """Sessions end when they should, and browsers keep their cookies over a login."""
    if conf.SESSION_ENGINE.endswith(".signed_cookies"):
        # They also cannot be ended, and would show tokens to the browser.
        message = "SESSION_ENGINE keeps sessions in cookies, which can be replayed after logout."
        yield Error(
            message, "Use django.contrib.sessions.backends.db, or oidc.cached_db with a shared cache.", id="oidc.E001"
        )
    if conf.SESSION_COOKIE_SAMESITE == "Strict":
        # It is not sent when the OP redirects back, so every login would seem to be lost.
        message = 'SESSION_COOKIE_SAMESITE is "Strict": the browser would not show the session after a login.'
        yield Error(message, 'Use "Lax", Django\'s default.', id="oidc.E002")
    is_secure = conf.SITE_URL.startswith("https://")
    wanted = {"SESSION_COOKIE_SECURE": is_secure, "CSRF_COOKIE_SECURE": is_secure, "SESSION_COOKIE_HTTPONLY": True}
    for name in (name for name, value in wanted.items() if bool(getattr(settings, name)) != value):
        message = f"{name} is {getattr(settings, name)}, which does not go with SITE_URL, {conf.SITE_URL or 'not set'}."
        yield CheckWarning(message, f"Set it to {wanted[name]}.", id="oidc.W005")
    is_bound = settings.SESSION_COOKIE_SECURE and not settings.SESSION_COOKIE_DOMAIN
    if conf.SESSION_COOKIE_NAME.startswith("__Host-") and not (is_bound and settings.SESSION_COOKIE_PATH == "/"):
        message = "SESSION_COOKIE_NAME begins with __Host-, and browsers refuse the cookie as it is."
        hint = "Such a cookie is secure, and has the path / and no domain; or use another name."
        yield Error(message, hint, id="oidc.E009")


@register(Tags.security, deploy=True)
def check_cache(**kwargs: Any) -> Iterator[CheckMessage]:
    """All processes share a cache, or each of them fetches the OP's keys for itself."""
    # A site in production has several processes sooner or later, on this machine or on others.
    is_alone = settings.DEBUG and os.environ.get("WEB_CONCURRENCY", "1") in ("", "1")
    if is_alone or not conf.CACHES["default"]["BACKEND"].endswith((".LocMemCache", ".DummyCache")):
        return
    hint = "Set CACHE_URL to a shared cache, e.g. redis://host:6379/0."
    if conf.SESSION_ENGINE.endswith(".cache"):
        message = "SESSION_ENGINE keeps sessions in the memory of one process, and the others do not know them."
        yield Error(message, hint, id="oidc.E010")
    message = "CACHE_URL is not set: the processes of this site do not share the OP's keys and spent attempts."
    yield Info(message, hint, id="oidc.I001")
