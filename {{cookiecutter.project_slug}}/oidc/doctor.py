"""What is wrong between this site and its OP, in lines that say how to mend it; `manage.py oidc_doctor` prints them."""

from collections.abc import Callable, Iterator

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import NoReverseMatch, reverse

from oidc import checks, logout
from oidc.errors import LoginError, shorten
from oidc.internal import discovery, env_file, examination, provider, redirects
from oidc.internal.conf import conf
from oidc.internal.lines import Line, judge, of_check
from oidc.internal.transport import silent_endpoints

__all__ = ["Line", "examine", "silent_endpoints", "urls_to_register", "without_network", "write_endpoints"]

# The name of a line, the system check whose messages it tells, and what it says where there are none.
CHECKS = (
    ("settings", checks.check_values, "Algorithm, key, issuer and secret have values with which logins work."),
    ("names", checks.check_names, "Every setting for logins is one that somebody reads."),
    ("address", checks.check_address, "This site serves SITE_URL, and forms and the redirect URI go with it."),
    ("proxy", checks.check_proxy, "X-Forwarded-Proto is believed, or not needed for plain http."),
    ("sessions", checks.check_sessions, "Sessions can be ended, and browsers keep their cookies over a login."),
    ("cache", checks.check_cache, "The processes of this site share a cache, or there is one only."),
)


def urls_to_register() -> dict[str, str]:
    """Return what to enter at the OP, by what forms there call it; empty if the redirect URI is wrong (oidc.E008)."""
    try:
        urls = {"redirect URI": redirects.callback_url()}
    except NoReverseMatch:
        return {}
    urls["post-logout redirect URI"] = logout.return_url()
    more = {"back-channel logout URI": "oidc_backchannel_logout", "initiate login URI": "oidc_initiate"}
    more |= {"front-channel logout URI": "oidc_frontchannel_logout"} if conf.OIDC_FRONTCHANNEL_LOGOUT else {}
    return urls | {name: conf.SITE_URL + reverse(url_name) for name, url_name in more.items()}


def without_network() -> list[Line]:
    """Return what can be known from the settings and the environment alone."""
    hint = "Correct it in .env or in the environment of the process; .env.example explains each variable."
    lines = [judge("environment", False, problem, hint, "fail") for problem in conf.ENVIRONMENT_PROBLEMS]
    lines = lines or [judge("environment", True, "Every variable is known, and has a usable value.")]
    for name, check, text in CHECKS:
        lines += [of_check(name, message) for message in check()] or [judge(name, True, text)]
    return lines


def database() -> Line:
    """Return whether the database is there and has every migration."""
    try:
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except (DatabaseError, ImproperlyConfigured) as error:
        text = f"The database does not respond: {shorten(' '.join(str(error).split()))}"
        return judge("database", False, text, "Start it, or correct DATABASE_URL.", "fail")
    text = f"The database responds, and lacks {missing or 'no'} migrations."
    hint = "Run manage.py migrate; the dev command does so by itself."
    return judge("database", not missing, text, hint, "warn" if conf.DEBUG else "fail")


def examine(asking: Callable[[str], None] = lambda address: None) -> Iterator[Line]:
    """Yield every line: the cheap ones, the database, and what is found at the OP, which nobody logs in to.

    `asking` is told each address of the OP before it is asked.
    """
    yield from without_network()
    yield database()
    if urls_to_register():
        yield from examination.examine(asking)


def write_endpoints() -> list[str]:
    """Put the endpoints that the OP publishes into ENV_FILE, and return what was done in sentences.

    Raises `ValueError` in words for people if that cannot be; the file is then as it was.
    """
    try:
        metadata = discovery.fetch_anew()
        values = {name: metadata[key] for key, name in discovery.ENDPOINTS.items() if metadata.get(key)}
        env_file.set_values(conf.ENV_FILE or "", values)
    except LoginError as error:
        raise ValueError(f"{error.reason.explanation} {error.detail}") from error
    except (OSError, UnicodeError) as error:
        raise ValueError(f"{conf.ENV_FILE or 'ENV_FILE of the settings'} cannot be changed ({error}).") from error
    done = [f"{name} is in {conf.ENV_FILE} now." for name in values]
    if (method := provider.client_method()[0]) == "client_secret_post" and not conf.OIDC_TOKEN_ENDPOINT_AUTH_METHOD:
        done.append(f'Set OIDC_TOKEN_ENDPOINT_AUTH_METHOD = "{method}" too: logins do not read the metadata any more.')
    return done
