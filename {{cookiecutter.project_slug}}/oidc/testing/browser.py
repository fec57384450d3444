"""A person with a browser but no screen, for tests of whole logins."""

import json
import re
from functools import partial, partialmethod
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from oidc.testing.op import OP, PERSON, Claims, changed

Response = Any  # of Django or of requests: both have `status_code`, `headers` and `content`


class Browser:
    """Drives a site, in this process by Django's test client or where it runs by its URL, and the OP's real pages.

    It has cookies for both. `refusals` has what the signal `login_refused` says while the browser lives.
    """

    def __init__(self, op: OP, client: Any = None, url: str | None = None) -> None:
        """`client` is a `django.test.Client` (None: a new one); where there is a `url`, none is used."""
        self.op, self.client, self.url, self.refusals = op, client, url, list[dict[str, Any]]()
        self.at_op, self.at_site = requests.Session(), requests.Session()
        self.at_op.trust_env = self.at_site.trust_env = False  # no proxy of this machine
        self.ask_op = partial(self.at_op.request, allow_redirects=False, timeout=30)
        if url is None:
            from django.test import Client

            from oidc.signals import login_refused

            self.client = client or Client(SERVER_NAME=urlsplit(op.site_url).hostname)
            login_refused.connect(self._note)

    def _note(self, sender: object, **details: Any) -> None:
        self.refusals.append(details)

    def request(self, method: str, path: str, data: Any = None, **options: Any) -> Response:
        """Ask the site for a page; `data` is the query or form, `options` are the client's, such as `headers`."""
        if self.url is None:
            return getattr(self.client, method)(path, data, **options)
        # The host is the site's, so that `url` may be one of several processes behind a proxy.
        headers = {"Host": urlsplit(self.op.site_url).netloc, "Referer": f"{self.op.site_url}/"}
        headers["X-CSRFToken"] = next((str(c.value) for c in self.at_site.cookies if c.name.endswith("csrftoken")), "")
        options |= {"params" if method == "get" else "data": data, "headers": headers | options.get("headers", {})}
        return self.at_site.request(method, self.url + path, allow_redirects=False, timeout=30, **options)

    get, post = partialmethod(request, "get"), partialmethod(request, "post")

    def leave(self, next_url: str = "") -> Response:
        """Begin a login: the site redirects to the OP."""
        return self.get("/oidc/authenticate/", {"next": next_url} if next_url else None)

    def come_back(self, parameters: dict[str, str], method: str = "get") -> Response:
        """Bring the OP's response to the site's callback."""
        return self.request(method, "/oidc/callback/", parameters)

    def visit_op(self, url: str, choose: str | Claims | None = None, deny: bool = False) -> str:
        """Open the OP's page at `url` and return the callback URL to which it sends the browser back.

        `choose` is the sub of a user, or claims to type: changes to those of `PERSON`. None is whoever is logged in
        there, or else the first user.
        """
        who = self.op.users()[0]["sub"] if choose is None else choose
        choice = {"typed": json.dumps(changed(PERSON, who))} if isinstance(who, dict) else {"sub": who}
        page = self.ask_op("get", url)
        if deny or choose is not None or 'name="deny"' in page.text:
            page = self.ask_op("post", url, data={"deny": "1"} if deny else choice)
        if page.status_code == 302:
            return page.headers["Location"]
        form = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
        assert "iss" in form, page.text
        return f"{self.op.site_url}/oidc/callback/?{urlencode(form)}"

    def log_in(self, who: str | Claims | None = None, next_url: str = "") -> Response:
        """Log in by the OP's pages as whom `visit_op` would choose; return the site's response to the callback."""
        leaving = self.leave(next_url)
        if leaving.status_code != 302:
            return leaving
        url = leaving.headers["Location"]
        method = "post" if "response_mode=form_post" in url else "get"
        return self.come_back(dict(parse_qsl(urlsplit(self.visit_op(url, who)).query)), method)

    def log_out(self) -> Response:
        """Log out at the site and at the OP; return the page where that ends."""
        self.get("/oidc/logout/")  # gives the CSRF token
        return self.follow(self.post("/oidc/logout/"))

    def follow(self, response: Response) -> Response:
        """Go on through redirects between site and OP, a dozen at most; return the first response that is none."""
        for _ in range(12):
            if not (url := response.headers.get("Location")):
                return response
            is_op = url.startswith(self.op.issuer)
            response = self.ask_op("get", url) if is_op else self.get(url.removeprefix(self.op.site_url))
        raise AssertionError(f"The redirects go round in a circle: {url}")

    def outcome(self) -> str:
        """Return how a whole login, to which `OP.grant` says yes, ends: the code of a reason, or "signed_in"."""
        self.refusals.clear()
        leaving = self.leave()
        if leaving.status_code == 302:
            self.come_back(self.op.grant(leaving.headers["Location"]))
        assert self.refusals or self.is_signed_in
        return self.refusals[-1]["reason"].code if self.refusals else "signed_in"

    def age(self, seconds: float) -> None:
        """Let the session at the site become older, and the sessions at the OP with it."""
        from oidc.internal.session import TIMES

        for known in self.op.sessions.values():
            known.auth_time -= int(seconds)
        session = self.client.session
        session.update({name: session[name] - seconds for name in TIMES if isinstance(session.get(name), int | float)})
        session.save()

    @property
    def is_signed_in(self) -> bool:
        return "_auth_user_id" in self.client.session if self.url is None else self.get("/profile/").status_code == 200

    @property
    def user(self) -> Any:
        """The user who is signed in, else `AnonymousUser`."""
        from django.contrib.auth import get_user

        return get_user(self.client)
