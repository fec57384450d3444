"""What the OP says of itself and how it responds, without a login: each function yields lines of the doctor.

OPs refuse in different ways. So where a response could mean two things, the same request is sent again with something
that the OP must refuse, a made-up secret or redirect URI: if it responds alike, nothing is known, and the line says so.
"""

import math
import secrets
import ssl
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from oidc import errors
from oidc.errors import LoginError, shorten
from oidc.internal import authorization, discovery, keys, provider, redirects, token_rules, transport
from oidc.internal.authorization import Attempt
from oidc.internal.conf import conf
from oidc.internal.lines import Line, judge, of_error
from oidc.internal.transport import Look

Metadata = dict[str, Any]
Asking = Callable[[str], None]

MADE_UP = "made-up-by-oidc-doctor"
CLOCK_SECONDS, CERTIFICATE_DAYS = 10, 21


def examine(asking: Asking) -> Iterator[Line]:
    """Yield what is found at the OP; `asking` is told each address before it is asked, which takes OIDC_TIMEOUT."""
    transport.forget_breakers()
    metadata: Metadata = {}
    if not conf.OIDC_OP_ISSUER:
        yield judge("discovery", False, "OIDC_OP_ISSUER is not set.", "Set it to the issuer of the OP.", "fail")
        return
    asking(url := discovery.metadata_url(conf.OIDC_OP_ISSUER))
    try:
        metadata = discovery.fetch_anew()
    except LoginError as error:
        if error.reason is errors.METADATA_INVALID or discovery.is_needed():
            yield of_error("issuer" if error.reason is errors.METADATA_INVALID else "discovery", error)
            return
        hint = "Logins work without, as all endpoints are set by hand."
        yield judge("discovery", False, f"There is no document at {url}: {error.detail}", hint)
    else:
        yield judge("discovery", True, f"{url} describes the OP.")
        yield judge("issuer", True, f"It names itself {metadata['issuer']}, as it has to.")
    yield from endpoints(metadata)
    yield from announced(metadata)
    steps: dict[str, Callable[[Asking], Iterator[Line]]]
    steps = {"keys": key_set, "client": client, "redirect": redirect, "tls": partial(hosts, metadata)}
    for name, step in steps.items():
        try:
            yield from step(asking)
        except LoginError as error:
            yield of_error(name, error)


def endpoints(metadata: Metadata) -> Iterator[Line]:
    """No endpoint is missing that a login needs, and those of the settings are the OP's."""
    is_fine = True
    for name, setting in discovery.ENDPOINTS.items():
        configured, published = getattr(conf, setting), metadata.get(name)
        is_needed = name != "end_session_endpoint" and (name != "userinfo_endpoint" or conf.OIDC_USERINFO == "always")
        if is_needed and not configured and not published:
            is_fine = False
            yield judge("endpoints", False, f"The OP names no {name}.", f"Set {setting}.", "fail")
        elif configured and metadata and configured != published:
            is_fine = False
            text = f"{setting} is {configured}, and the OP names {published or 'none'}."
            yield judge("endpoints", False, text, "Leave it empty, unless another address is meant.")
    if is_fine:
        yield judge("endpoints", True, "None that a login needs is missing, and none contradicts the OP.")


def announced(metadata: Metadata) -> Iterator[Line]:
    """The OP offers what this site needs (Discovery 3)."""

    def offered(member: str) -> list[str]:
        found = metadata.get(member)
        return [shorten(name)[1:-1] for name in found if isinstance(name, str)] if isinstance(found, list) else []

    wanted, found = conf.OIDC_RP_SIGN_ALGO, offered("id_token_signing_alg_values_supported")
    hint = f"Set it to one of {', '.join([name for name in found if name in keys.SUPPORTED] or keys.SUPPORTED)}."
    theirs = (
        "offers it" if wanted in found else f"offers {' or '.join(found)}" if found else "does not say what it offers"
    )
    text = f"OIDC_RP_SIGN_ALGO is {wanted}, and the OP {theirs}."
    yield judge("algorithm", wanted in found, text, hint, "fail" if found else "warn")

    found = offered("code_challenge_methods_supported")
    hint = "Allow S256 for this client. An OP that says nothing knows it, as Entra ID does, or ignores it."
    theirs = f"offers {' and '.join(found)}" if found else "does not say that it knows it"
    text = f"PKCE is used with S256, and the OP {theirs}."
    yield judge("pkce", "S256" in found, text, hint, "fail" if found else "warn")

    asked = conf.OIDC_RP_SCOPES.split()
    missing = [scope for scope in asked if scope not in offered("scopes_supported")]
    needed = {"openid"} | ({"offline_access"} if conf.OIDC_RENEWAL == "refresh_token" else set())
    if lacking := needed - {*asked}:
        text = f"OIDC_RP_SCOPES lacks {', '.join(lacking)}."
        hint = "Without openid there is no ID Token; for offline_access see OIDC_RENEWAL."
        yield judge("scopes", False, text, hint, "fail" if "openid" in lacking else "warn")
    listed = f"all but {' '.join(missing)}" if missing else "each"
    text = f"OIDC_RP_SCOPES asks for {' '.join(asked)}, and the OP lists {listed}."
    yield judge("scopes", not missing, text, "It need not list all: see whether the line `request` fails.")

    claim = conf.OIDC_GROUPS_CLAIM
    is_listed = bool({claim, claim.partition(".")[0]} & {*offered("claims_supported"), *asked})
    text = f"Groups come from the claim {claim}, which the OP {'lists' if is_listed else 'does not list'}."
    text = text if claim else "No claim has groups: OIDC_GROUPS_CLAIM is not set."
    hint = "Many OPs send a claim without listing it, once a mapper or a scope of the client says so."
    yield judge("groups", is_listed or not claim, text, hint)

    url = conf.OIDC_OP_END_SESSION_ENDPOINT or metadata.get("end_session_endpoint")
    text = f"A logout here {'goes on to the OP' if url else 'stays here: the OP names no end-session endpoint'}."
    yield judge("end-session", bool(url), text, "If it has one all the same, set OIDC_OP_END_SESSION_ENDPOINT.")

    is_offered = metadata.get("backchannel_logout_supported") is True
    text = f"The OP {'can tell' if is_offered else 'does not say that it tells'} this site of logouts there."
    hint = "Renewal notices them later (OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS)."
    yield judge("back-channel", is_offered, text, hint)


def key_set(asking: Asking) -> Iterator[Line]:
    """The OP publishes a key that can verify, and none that is broken or weak."""
    name = conf.OIDC_RP_SIGN_ALGO
    if name not in keys.KEY_TYPES or conf.OIDC_RP_IDP_SIGN_KEY:
        yield judge("keys", True, "The key is OIDC_RP_IDP_SIGN_KEY, or with HS256 the client secret.")
        return
    asking(url := discovery.required_endpoint("jwks_uri"))
    jwks = provider.fetch_jwks(url)
    fitting, usable = [jwk for jwk in jwks if keys.fits(jwk, {"alg": name})], keys.select(jwks, {"alg": name})
    text = f"{url} has {len(jwks)} keys: {len(fitting)} for {name}, of which {len(usable)} can be used."
    hint = "Let the OP make new keys: RSA of 2048 bits or more, with `use` and `alg` that fit."
    yield judge("keys", 0 < len(fitting) == len(usable), text, hint, "warn" if usable else "fail")


def client(asking: Asking) -> Iterator[Line]:
    """The OP accepts client id and secret: it refuses a made-up code, and not the client."""
    if not conf.OIDC_RP_CLIENT_ID:
        yield judge("client", False, "OIDC_RP_CLIENT_ID is not set.", "The OP gives it at registration.", "fail")
        return
    asking(discovery.required_endpoint("token_endpoint"))
    refusal, (method, why) = refused_code(), provider.client_method()
    # Auth0 says access_denied for a wrong secret.
    if refusal and refusal.reason in (errors.CLIENT_REFUSED, errors.ACCESS_DENIED):
        error = LoginError(errors.CLIENT_REFUSED, refusal.detail, op_error=refusal.op_error, endpoint=refusal.endpoint)
        yield of_error("client", error)
    elif refusal and refusal.reason not in (errors.CODE_REFUSED, errors.OP_ERROR):
        yield of_error("client", refusal)
    else:
        control = refusal and method != "none" and refused_code(secrets.token_urlsafe(32))
        is_known = refusal and (method == "none" or (control and is_another(control, refusal)))
        text = f"The OP {'accepts' if is_known else 'does not show whether it accepts'} the client ({method}, {why})."
        hint = "A made-up code leads to the same with another secret: log in to see."
        yield judge("client", bool(is_known), text, hint)


def refused_code(secret: str | None = None) -> LoginError | None:
    """Return how the OP refuses a made-up code; None if it does not."""
    try:
        provider.exchange_code(MADE_UP, redirects.callback_url(), secrets.token_urlsafe(48), secret)
    except LoginError as error:
        return error
    return None


def is_another(control: LoginError, refusal: LoginError) -> bool:
    """Tell whether the OP refuses the control for another reason; an outage says nothing."""
    is_outage = control.reason.kind is errors.Kind.OUTAGE
    return not is_outage and (control.reason, control.op_error) != (refusal.reason, refusal.op_error)


def redirect(asking: Asking) -> Iterator[Line]:
    """The OP sends browsers back to the redirect URI, and objects to nothing else in the request."""
    if not conf.OIDC_RP_CLIENT_ID:
        return
    asking(discovery.required_endpoint("authorization_endpoint"))
    callback = redirects.callback_url()
    url = authorization.request_url(Attempt(silent=True), conf.OIDC_AUTH_REQUEST_EXTRA_PARAMS)
    seen = transport.look(url)
    place = urlsplit(urljoin(url, seen.headers.get("Location", "")))
    if place._replace(query="", fragment="").geturl() == callback:
        yield judge("redirect", True, f"The OP sends browsers back to {callback}.")
        yield objection(dict(parse_qsl(place.query or place.fragment)))
        return
    control = transport.look(redirects.with_query(url, {"redirect_uri": callback + MADE_UP}))
    is_error = "Location" in seen.headers and "error" in f"{place.path} {place.query}".lower()
    is_refused = 400 <= seen.status < 500 or is_error
    is_fine = not is_refused and seen.status < 500 and outcome(seen) != outcome(control)
    verdict = "takes" if is_fine else "refuses" if is_refused else "does not show whether it takes"
    text = f"The OP {verdict} the redirect URI {callback} (HTTP {seen.status})."
    hint = f"Register just that for the client id {conf.OIDC_RP_CLIENT_ID}; an unknown id looks the same."
    yield judge("redirect", is_fine, text, hint, "fail" if is_refused else "warn")


def outcome(seen: Look) -> tuple[int, str]:
    """Return what tells two responses apart: the status and the place that it leads to."""
    return seen.status, urlsplit(seen.headers.get("Location", "")).path


def objection(response: dict[str, str]) -> Line:
    """Return the line for the parameters that the OP sends back while nobody is logged in."""
    error, description = response.get("error", ""), shorten(response.get("error_description", ""))
    reason = errors.OF_OP.get(error, errors.OP_ERROR)
    if reason in (errors.SCOPE_REFUSED, errors.CLIENT_REFUSED):
        return of_error("request", LoginError(reason, description, op_error=shorten(error)))
    if error in errors.INTERACTION_NEEDED or "code" in response:
        return judge("request", True, "The OP has no objection to the request, and asks people to log in.")
    text = f"The OP objects to a request with prompt=none: {shorten(error)} {description}"
    return judge("request", False, text, "If logins work, see OIDC_RENEWAL.")


def hosts(metadata: Metadata, asking: Asking) -> Iterator[Line]:
    """This machine's clock goes as the OP's, and the certificates of its hosts last."""
    looks: dict[str, Look] = {}
    names = ("token_endpoint", "jwks_uri", "userinfo_endpoint")
    known = [getattr(conf, discovery.ENDPOINTS[name]) or metadata.get(name) for name in names]
    for url in filter(None, [metadata and discovery.metadata_url(conf.OIDC_OP_ISSUER), *known]):
        if (host := urlsplit(url).netloc) not in looks:
            asking(url)
            looks[host] = transport.look(url)
    yield from map(clock, [*looks.values()][:1])
    for host, seen in looks.items():
        if end := seen.certificate.get("notAfter"):
            days = int((ssl.cert_time_to_seconds(end) - seen.came) // (24 * 60 * 60))
            text = f"The certificate of {host} is trusted, and lasts {days} days."
            yield judge("tls", days > CERTIFICATE_DAYS, text, "Whoever runs the OP has to renew it in time.")
        else:
            yield judge("tls", True, f"{host} speaks plain http, which is safe on this machine only.")


def clock(seen: Look) -> Line:
    """Compare clocks by the header Date, which has whole seconds and is set between request and response."""
    hint = f"Let this machine use NTP: tokens are taken with {token_rules.LEEWAY} s of leeway."
    try:
        theirs = parsedate_to_datetime(seen.headers["Date"]).timestamp() + int(seen.headers.get("Age", "0")) + 0.5
    except (KeyError, ValueError):
        return judge("clock", False, "The OP sends no usable Date header to compare clocks by.", hint)
    offset, error = (seen.asked + seen.came) / 2 - theirs, math.ceil(0.5 + (seen.came - seen.asked) / 2)
    text = f"By its Date header, this machine is {round(offset):+d} s ahead of the OP, give or take {error} s."
    excess = abs(offset) - error
    return judge("clock", excess <= CLOCK_SECONDS, text, hint, "fail" if excess > token_rules.LEEWAY else "warn")
