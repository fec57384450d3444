"""The rule for every URL that is asked for."""

import re
from urllib.parse import urlsplit

LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "::1"}
# The characters that a URL may have unescaped, without the fragment (RFC 3986).
CHARACTER = r"[A-Za-z0-9._~:/@!$&'()*+,;=%-]"
URL = re.compile(rf"https?://[A-Za-z0-9.\[\]:_-]+(/{CHARACTER}*)?(\?({CHARACTER}|\?)*)?")


def web_url_problem(url: str, example: str = "https://op.example.org/authorize") -> str:
    """Return what is wrong with an https URL (http for loopback only), "" if nothing is."""
    if not URL.fullmatch(url):
        return f"is not a URL such as {example}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"is not a URL such as {example}"
    if not host:
        return f"has no host, write a URL such as {example}"
    if parts.scheme != "https" and host not in LOOPBACK_HOSTS:
        return "must begin with https://, as tokens travel there (http:// is for localhost only)"
    return ""
