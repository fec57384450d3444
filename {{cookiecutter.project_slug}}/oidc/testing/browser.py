"""A person with a browser but no screen, for tests of whole logins."""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from oidc.testing.op import OP, PERSON, Claims, changed

# Of Django or of requests: both have `status_code`, `headers` and `content`.
Response = Any


class Browser:
    """Drives a site, in this process by Django's test client or wherever it runs by `url`, and the OP's real pages.

    It has cookies for both, and goes on through redirects only where a method says so.
    """

    def __init__(self, op: OP, client: Any = None, url: str | None = None) -> None:
        """`client` is a `django.test.Client` (None: a new one); a `url` takes the place of it."""
        self.op, self.client, self.url = op, client, url
        self.at_op, self.at_site = requests.Session(), requests.Session()
        self.at_op.trust_env = self.at_site.trust_env = False  # no proxy of this machine
        self.refusals: list[dict[str, Any]] = []
        if client is None and url is None:
            from django.test import Client

            self.client = Client(SERVER_NAME=urlsplit(op.site_url).hostname)

    def get(self, path: str, **options: Any) -> Response:
        """Get a page of the site; `options` are those of the client, such as `headers`."""
        return self._request("get", path, **options)

    def post(self, path: str, data: Any = None, **options: Any) -> Response:
        return self._request("post", path, data=data or {}, **options)

    def _request(self, method: str, path: str, **options: Any) -> Response:
        if self.url is None:
            return getattr(self.client, method)(path, **options)
        # With the host of the site, so that `url` may be one of several processes behind a proxy.
        headers = {"Host": urlsplit(self.op.site_url).netloc, "Referer": f"{self.op.site_url}/"}
        headers |= {"X-CSRFToken": str(c.value) for c in self.at_site.cookies if c.name.endswith("csrftoken")}
        options["headers"] = headers | options.get("headers", {})
        return self.at_site.request(method, self.url + path, allow_redirects=False, timeout=30, **options)

    def leave(self, next_url: str = "") -> Response:
        """Begin a login: the site redirects to the OP."""
        return self.get("/oidc/authenticate/" + (f"?{urlencode({'next': next_url})}" if next_url else ""))

    def come_back(self, parameters: dict[str, str], method: str = "get") -> Response:
        """Bring the OP's response to the site's callback, by the method "get" or "post"."""
        if method == "post":
            return self.post("/oidc/callback/", parameters)
        return self.get(f"/oidc/callback/?{urlencode(parameters)}")

    def visit_op(self, url: str, choose: str | Claims | None = None, deny: bool = False) -> str:
        """Open the OP's page and return the callback URL to which it sends the browser, with the parameters.

        `choose` is the sub of a user, or what to type as a person's claims: changes to those of `PERSON`. None takes
        whoever is logged in there already, or the first user.
        """
        typed = {"typed": json.dumps(changed(PERSON, choose))} if isinstance(choose, dict) else {"sub": choose}
        choice = {"deny": "1"} if deny else typed
        page = self.at_op.get(url, allow_redirects=False, timeout=30)
        if deny or choose or 'name="deny"' in page.text:
            choice = choice if deny or choose else {"sub": self.op.users()[0]["sub"]}
            page = self.at_op.post(url, choice, allow_redirects=False, timeout=30)
        if page.status_code == 302:
            return page.headers["Location"]
        form = {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)}
        assert "state" in form, page.text
        return f"{self.op.site_url}/oidc/callback/?{urlencode(form)}"

    def log_in(self, who: str | Claims | None = None, next_url: str = "") -> Response:
        """Log in by the OP's pages as the person whom `visit_op` would choose; return the response of the callback."""
        leaving = self.leave(next_url)
        if leaving.status_code != 302:
            return leaving
        url = leaving.headers["Location"]
        parameters = dict(parse_qsl(urlsplit(self.visit_op(url, who)).query))
        return self.come_back(parameters, "post" if "response_mode=form_post" in url else "get")

    def log_out(self) -> Response:
        """Log out at the site and at the OP; return the page where that ends."""
        self.get("/oidc/logout/")  # has the CSRF token
        return self.follow(self.post("/oidc/logout/"))

    def follow(self, response: Response) -> Response:
        """Go on through redirects between site and OP; return the first response that is none."""
        while location := response.headers.get("Location"):
            if location.startswith(self.op.issuer):
                response = self.at_op.get(location, allow_redirects=False, timeout=30)
            else:
                response = self.get(location.removeprefix(self.op.site_url))
        return response

    def outcome(self) -> str:
        """Return how a whole login, for which `OP.grant` says yes, ends: the code of a reason, or "signed_in"."""
        self.refusals.clear()
        leaving = self.leave()
        if leaving.status_code == 302:
            self.come_back(self.op.grant(leaving.headers["Location"]))
        assert self.refusals or self.is_signed_in
        return self.refusals[-1]["reason"].code if self.refusals else "signed_in"

    def age(self, seconds: float) -> None:
        """Let the session at the site be older than it is."""
        from oidc.internal.session import TIMES

        session = self.client.session
        session.update({name: session[name] - seconds for name in TIMES if session.get(name) is not None})
        session.save()

    @property
    def is_signed_in(self) -> bool:
        """Whether somebody is signed in at the site."""
        return "_auth_user_id" in self.client.session if self.url is None else self.get("/profile/").status_code == 200

    @property
    def user(self) -> Any:
        """The user who is signed in, or `AnonymousUser`."""
        from django.contrib.auth import get_user

        return get_user(self.client)
