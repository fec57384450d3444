"""The user policy in whole logins: what a site's backend says, and what becomes of the login."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth import get_user
from django.contrib.auth.models import Group, Permission, User
from django.contrib.messages import get_messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import IntegrityError, connections

from oidc import backends
from oidc.backends import MAX_RACES, OIDCAuthenticationBackend
from oidc.building_blocks import users
from oidc.building_blocks.claims import groups
from oidc.errors import LoginError, Reason
from oidc.models import Identity
from oidc.signals import identity_linked, user_created
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, OP, PERSON

ADDRESS = PERSON["email"]
SUSPENDED = Reason("suspended", 409, "Your account is suspended until Monday.", "Come back on Monday.")


class ByIdentity(OIDCAuthenticationBackend):
    def update_user(self, user: Any, claims: Any) -> Any:
        users.copy_claims(user, claims, {"email": "email"})
        user.save()
        return user


class ByVerifiedEmail(ByIdentity):
    def filter_users_by_claims(self, claims: Any) -> Iterable[Any]:
        return users.by_identity(claims) or users.by_verified_email(claims)


class ByEmail(ByIdentity):
    def filter_users_by_claims(self, claims: Any) -> Iterable[Any]:
        return users.by_identity(claims) or users.by_email(claims)


class ByAddressAlone(ByIdentity):
    """What the library does by default, at every login."""

    def filter_users_by_claims(self, claims: Any) -> Iterable[Any]:
        return self.UserModel.objects.filter(email__iexact=claims["email"])


@pytest.fixture
def policy(settings: Any) -> Callable[[type], None]:
    """Return a function that makes a backend of this file the site's."""

    def use(backend: type) -> None:
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.{backend.__name__}"]

    return use


@pytest.fixture
def existing(db: None) -> User:
    return User.objects.create_user("existing", ADDRESS)


def refusal(browser: Browser) -> str:
    """Return the code with which the login of a browser was refused."""
    assert not browser.is_signed_in
    return str(browser.refusals[-1]["reason"].code)


def bind(user: User, op: OP, subject: str = PERSON["sub"]) -> None:
    Identity.objects.create(user=user, issuer=op.issuer, subject=subject)


# Who a person is here


@pytest.mark.parametrize(
    ("backend", "claims", "fields", "outcome"),
    [
        pytest.param(ByIdentity, {}, {}, "new", id="identity-never-goes-by-address"),
        pytest.param(ByVerifiedEmail, {}, {}, "same", id="verified-address-is-taken"),
        pytest.param(ByVerifiedEmail, {"email": ADDRESS.upper()}, {}, "same", id="letter-case-makes-no-difference"),
        pytest.param(ByVerifiedEmail, {"email_verified": "true"}, {}, "same", id="verified-as-text"),
        pytest.param(ByVerifiedEmail, {"email_verified": False}, {}, "new", id="unverified-address"),
        pytest.param(ByVerifiedEmail, {"email_verified": None}, {}, "new", id="silence-is-not-verified"),
        pytest.param(ByVerifiedEmail, {}, {"is_staff": True}, "new", id="staff-are-never-taken"),
        pytest.param(ByVerifiedEmail, {}, {"is_superuser": True}, "new", id="superusers-are-never-taken"),
        pytest.param(ByVerifiedEmail, {}, {"is_active": False}, "refused", id="deactivated-stays-closed"),
        pytest.param(ByEmail, {"email_verified": False}, {}, "same", id="email-takes-any-address"),
        pytest.param(ByEmail, {"email": ""}, {"email": ""}, "new", id="email-needs-an-address"),
    ],
)
def test_a_first_login_and_a_user_with_the_same_address(
    log_in, policy, backend: type, claims: dict, fields: dict, outcome: str
) -> None:
    policy(backend)
    user = User.objects.create_user("existing", **{"email": ADDRESS} | fields)
    browser = log_in(claims)
    if outcome == "refused":
        assert refusal(browser) == "user_inactive"
        assert not Identity.objects.exists()
    else:
        assert (browser.user == user) is (outcome == "same")
        assert Identity.objects.get().user == browser.user


def test_a_changed_address_keeps_the_account(log_in) -> None:
    before = log_in().user
    after = log_in({"email": "new@example.org"}).user
    assert (after.pk, after.email) == (before.pk, "new@example.org")


def test_whoever_was_found_by_address_is_known_by_subject_from_then_on(log_in, policy, existing: User) -> None:
    policy(ByVerifiedEmail)
    log_in()
    assert log_in({"email": "new@example.org", "email_verified": False}).user == existing


def test_a_recycled_address_does_not_inherit_the_account(log_in, policy) -> None:
    policy(ByVerifiedEmail)
    before = log_in({"sub": "owner-before"}).user
    after = log_in({"sub": "owner-now"}).user
    assert (before.email, after.email) == (ADDRESS, ADDRESS)
    assert after != before


def test_the_same_subject_at_another_op_is_another_person(log_in, existing: User) -> None:
    Identity.objects.create(user=existing, issuer="https://other.example.org", subject=PERSON["sub"])
    assert log_in().user != existing


def test_a_lookalike_address_makes_a_user_of_its_own(log_in, policy) -> None:
    policy(ByVerifiedEmail)
    user = User.objects.create_user("mike", "mike@github.com")
    assert log_in({"email": "mike@gıthub.com"}).user != user


@pytest.mark.parametrize("backend", [ByVerifiedEmail, ByEmail, ByAddressAlone])
def test_two_accounts_that_fit_let_nobody_in(log_in, policy, existing: User, backend: type) -> None:
    policy(backend)
    User.objects.create_user("second", ADDRESS)
    browser = log_in()
    assert refusal(browser) == "user_ambiguous"
    assert not Identity.objects.exists()
    assert User.objects.count() == 2


def test_the_page_of_an_ambiguous_login_names_neither_account(browser: Browser, policy, existing: User) -> None:
    policy(ByEmail)
    User.objects.create_user("second", ADDRESS)
    page = browser.log_in().content.decode()
    assert "More than one account matches your login." in page
    assert "second" not in page


def test_an_identity_moves_when_the_policy_finds_another_user(log_in, policy, existing: User) -> None:
    policy(ByAddressAlone)
    other = User.objects.create_user("other", "other@example.org")
    assert log_in().user == existing
    assert log_in({"email": "other@example.org"}).user == other
    assert list(Identity.objects.values_list("user", "subject")) == [(other.pk, PERSON["sub"])]


def test_a_login_that_changes_nothing_writes_no_new_binding(log_in) -> None:
    log_in()
    before = Identity.objects.get()
    log_in()
    assert Identity.objects.get() == before


# New users


def test_a_new_user_has_a_name_no_password_and_no_rights(log_in) -> None:
    user = log_in({"preferred_username": "kim"}).user
    assert (user.username, user.email) == ("kim", ADDRESS)
    assert (user.has_usable_password(), user.is_staff, user.is_superuser) == (False, False, False)


class NamedByAddress(ByIdentity):
    username_claim = "email"


class NamedByHash(ByIdentity):
    username_claim = None


@pytest.mark.parametrize(
    ("backend", "username"),
    [(ByIdentity, "kim-2"), (NamedByAddress, ADDRESS), (NamedByHash, None)],
)
def test_the_backend_says_which_claim_names_new_users(log_in, policy, op: OP, backend: type, username: str) -> None:
    policy(backend)
    User.objects.create_user("Kim")
    user = log_in({"preferred_username": "kim"}).user
    assert user.username == (username or users.username_from({"iss": op.issuer, "sub": PERSON["sub"]}, None))


def test_a_username_is_given_once_and_kept(log_in) -> None:
    log_in({"preferred_username": "kim"})
    assert log_in({"preferred_username": "somebody-else"}).user.username == "kim"


def test_with_creation_off_a_stranger_is_refused_and_told_why(browser: Browser, settings, caplog) -> None:
    settings.OIDC_CREATE_USER = False
    response = browser.log_in()
    assert (response.status_code, refusal(browser)) == (403, "user_unknown")
    assert "an administrator has to create one" in response.content.decode()
    assert f"nobody has subject {PERSON['sub']}" in caplog.text
    assert not User.objects.exists()


def test_with_creation_off_a_user_who_is_known_by_subject_gets_in(log_in, settings, op: OP, existing: User) -> None:
    settings.OIDC_CREATE_USER = False
    bind(existing, op)
    assert log_in().user == existing


def test_with_creation_off_a_first_login_binds_the_user_with_the_address(log_in, settings, policy, existing) -> None:
    settings.OIDC_CREATE_USER = False
    policy(ByVerifiedEmail)
    assert log_in().user == existing == Identity.objects.get().user


def test_signals_tell_of_a_new_user_and_its_binding_once_they_are_certain(transactional_db, log_in) -> None:
    told: list[tuple[str, User]] = []

    def created(user: User, **kwargs: object) -> None:
        told.append(("created", user))

    def linked(user: User, **kwargs: object) -> None:
        told.append(("linked", user))

    user_created.connect(created)
    identity_linked.connect(linked)
    try:
        user = log_in().user
        log_in()
        log_in({"sub": "refused", "groups": ["suspended"]})
    finally:
        user_created.disconnect(created)
        identity_linked.disconnect(linked)
    assert told[:2] == [("created", user), ("linked", user)]
    assert [event for event, who in told if who == user] == ["created", "linked"]


# Who may log in


class OnlyEditors(ByIdentity):
    def verify_claims(self, claims: Any) -> bool:
        return "editors" in (groups(claims, "groups") or set())


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        pytest.param({"groups": ["editors"]}, "signed_in", id="right-group"),
        pytest.param({"groups": ["authors"]}, "claims_refused", id="wrong-group"),
        pytest.param({}, "claims_refused", id="silence"),
    ],
)
def test_verify_claims_decides_before_anything_is_made(log_in, policy, claims: dict, outcome: str) -> None:
    policy(OnlyEditors)
    browser = log_in(claims)
    assert (refusal(browser) if browser.refusals else "signed_in") == outcome
    assert User.objects.exists() is (outcome == "signed_in")


def test_somebody_who_was_let_in_once_is_asked_again(log_in, policy) -> None:
    policy(OnlyEditors)
    log_in({"groups": ["editors"]})
    assert refusal(log_in({"groups": []})) == "claims_refused"


def test_an_address_is_not_needed(log_in) -> None:
    assert log_in({"email": "", "email_verified": None}).is_signed_in


def test_a_deactivated_user_is_told_so(browser: Browser, op: OP, existing: User) -> None:
    bind(existing, op)
    User.objects.update(is_active=False)
    response = browser.log_in()
    assert (response.status_code, refusal(browser)) == (403, "user_inactive")
    assert "deactivated" in response.content.decode()
    assert browser.refusals[-1]["user"] == existing


class BornInactive(ByIdentity):
    def create_user(self, claims: Any) -> Any:
        user = super().create_user(claims)
        user.is_active = False
        user.save()
        return user


def test_a_user_whom_the_policy_makes_inactive_does_not_get_in(log_in, policy) -> None:
    policy(BornInactive)
    assert refusal(log_in()) == "user_inactive"


def test_a_refusal_is_no_news_of_a_broken_site(log_in, policy, caplog) -> None:
    policy(OnlyEditors)
    with caplog.at_level(logging.ERROR):
        log_in({})
    assert not caplog.records


class Suspending(ByIdentity):
    def update_user(self, user: Any, claims: Any) -> Any:
        user = super().update_user(user, claims)
        raise LoginError(SUSPENDED, "a detail for the log", user=user)


def test_a_site_has_reasons_of_its_own(browser: Browser, policy, caplog) -> None:
    policy(Suspending)
    response = browser.log_in()
    page = response.content.decode()
    assert (response.status_code, refusal(browser)) == (409, "suspended")
    assert "Your account is suspended until Monday." in page
    assert "Come back on Monday." in page
    assert "a detail for the log" in caplog.text
    assert "a detail for the log" not in page


class FindsNone(ByIdentity):
    def create_user(self, claims: Any) -> Any:
        return None


def test_a_policy_that_returns_no_user_refuses(log_in, policy) -> None:
    policy(FindsNone)
    assert refusal(log_in()) == "claims_refused"
    assert not Identity.objects.exists()


# A policy that fails


class Broken(ByIdentity):
    """Raises `error` in `method`, after the method has done its work."""

    method = "update_user"
    error: Exception = ZeroDivisionError("a bug of the site")

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name != type(self).method:
            return value

        def wrapper(*args: Any) -> None:
            value(*args)
            raise type(self).error

        return wrapper


@pytest.mark.parametrize(
    "method", ["verify_claims", "filter_users_by_claims", "create_user", "update_user", "get_username"]
)
def test_whatever_a_policy_raises_ends_on_a_page_and_changes_nothing(
    browser: Browser, policy, monkeypatch, caplog, method: str
) -> None:
    policy(Broken)
    monkeypatch.setattr(Broken, "method", method)
    response = browser.log_in()
    assert (response.status_code, refusal(browser)) == (503, "policy_failed")
    assert "a bug of the site" not in response.content.decode()
    assert "ZeroDivisionError: a bug of the site" in caplog.text
    assert not User.objects.exists()
    assert not Identity.objects.exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(SuspiciousOperation("no"), "claims_refused", id="what-the-library-raises-to-refuse"),
        pytest.param(PermissionDenied("no"), "policy_failed", id="permission-denied"),
        pytest.param(KeyError("email"), "policy_failed", id="a-claim-that-did-not-come"),
        pytest.param(User.DoesNotExist(), "policy_failed", id="database"),
        pytest.param(RecursionError(), "policy_failed", id="endless"),
        pytest.param(LoginError(SUSPENDED), "suspended", id="own-reason"),
    ],
)
def test_each_exception_has_its_reason(log_in, policy, monkeypatch, error: Exception, code: str) -> None:
    policy(Broken)
    monkeypatch.setattr(Broken, "error", error)
    assert refusal(log_in()) == code


def test_a_login_that_is_refused_takes_back_what_the_policy_did(log_in, policy, op: OP, existing: User) -> None:
    policy(Suspending)
    bind(existing, op)
    log_in({"email": "new@example.org"})
    existing.refresh_from_db()
    assert existing.email == ADDRESS


def test_a_policy_that_always_breaks_a_constraint_is_not_tried_forever(log_in, policy, monkeypatch) -> None:
    policy(Broken)
    tried: list[int] = []
    original = Broken.verify_claims

    def counting(self: Any, claims: Any) -> bool:
        tried.append(1)
        return original(self, claims)

    monkeypatch.setattr(Broken, "verify_claims", counting)
    monkeypatch.setattr(Broken, "error", IntegrityError("duplicate"))
    assert refusal(log_in()) == "policy_failed"
    assert len(tried) == MAX_RACES


def test_the_policy_is_not_asked_to_bring_a_deactivated_user_up_to_date(log_in, policy, op: OP, existing) -> None:
    policy(Broken)
    bind(existing, op)
    User.objects.update(is_active=False)
    assert refusal(log_in()) == "user_inactive"


# The backend and the rest of Django


def test_a_deactivated_user_is_out_at_the_next_request(log_in) -> None:
    browser = log_in()
    assert browser.get("/page/").status_code == 200
    User.objects.update(is_active=False)
    assert browser.get("/page/").status_code == 302
    assert get_user(browser.client).is_anonymous


def test_a_deleted_user_is_out_at_the_next_request(log_in) -> None:
    browser = log_in()
    User.objects.all().delete()
    assert browser.get("/page/").status_code == 302


def test_a_password_is_none_of_its_business(client, existing: User) -> None:
    existing.set_password("correct horse")
    existing.save()
    assert not client.login(username="existing", password="correct horse")


def test_without_claims_it_stands_aside() -> None:
    assert OIDCAuthenticationBackend().authenticate(None, username="kim", password="x") is None


def test_permissions_come_from_django(log_in) -> None:
    user = log_in().user
    editors = Group.objects.create(name="Editors")
    editors.permissions.add(Permission.objects.get(codename="add_group"))
    user.groups.add(editors)
    assert User.objects.get().has_perm("auth.add_group")
    assert not User.objects.get().has_perm("auth.delete_group")


def test_making_a_backend_asks_nobody_and_needs_no_setting(settings) -> None:
    settings.OIDC_OP_ISSUER = "https://op.invalid"
    for name in ("OIDC_RP_CLIENT_ID", "OIDC_OP_TOKEN_ENDPOINT", "OIDC_OP_USER_ENDPOINT", "OIDC_OP_JWKS_ENDPOINT"):
        if hasattr(settings, name):
            delattr(settings, name)
    OIDCAuthenticationBackend()


class ByNetwork(ByIdentity):
    def verify_claims(self, claims: Any) -> bool:
        return self.request.META["REMOTE_ADDR"] == "127.0.0.1"


def test_the_policy_can_look_at_the_request(log_in, policy) -> None:
    policy(ByNetwork)
    assert log_in().is_signed_in


# Logins at the same time


@pytest.fixture
def at_once(shared_database: None, op: OP, settings) -> Callable[[list[dict]], list[int]]:
    """Return a function that lets people with `claims` come back from the OP at the same moment."""
    settings.OIDC_TIMEOUT = 30

    def run(people: list[dict]) -> list[int]:
        returning = []
        for claims in people:
            browser = Browser(op)
            callback = browser.visit_op(browser.leave()["Location"], claims)
            returning.append((browser, dict(parse_qsl(urlsplit(callback).query))))
        together = Barrier(len(people))

        def come_back(browser: Browser, parameters: dict[str, str]) -> int:
            together.wait(30)
            try:
                return int(browser.come_back(parameters).status_code)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(people)) as threads:
            return list(threads.map(lambda pair: come_back(*pair), returning))

    return run


def test_first_logins_of_one_person_in_several_tabs_make_one_user(at_once) -> None:
    assert at_once([{"preferred_username": "kim"}] * 5) == [302] * 5
    assert User.objects.get() == Identity.objects.get().user


def test_first_logins_of_people_with_one_name_make_one_user_each(at_once) -> None:
    assert at_once([{"sub": f"kim-{number}", "preferred_username": "kim"} for number in range(5)]) == [302] * 5
    assert User.objects.count() == Identity.objects.values("user").distinct().count() == 5


def test_people_with_one_verified_address_cannot_all_take_the_account(at_once, policy) -> None:
    policy(ByVerifiedEmail)
    existing = User.objects.create_user("existing", ADDRESS)
    at_once([{"sub": f"kim-{number}"} for number in range(4)])
    assert existing.identities.count() == 1
    assert Identity.objects.count() == User.objects.count()


class Overtaken(ByIdentity):
    """Looks a moment too early: another login has bound the person when this one is about to."""

    looks = 0

    def filter_users_by_claims(self, claims: Any) -> Iterable[Any]:
        self.looks += 1
        return [] if self.looks == 1 else super().filter_users_by_claims(claims)


def test_a_login_that_was_overtaken_looks_again(log_in, policy, op: OP, existing: User) -> None:
    policy(Overtaken)
    bind(existing, op)
    assert log_in().user == existing
    assert User.objects.get() == Identity.objects.get().user


class ByGroups(ByIdentity):
    def update_user(self, user: Any, claims: Any) -> Any:
        user = super().update_user(user, claims)
        managed = {name: name for name in ("a", "b", "c")}
        self.apply_groups(user, claims, "groups", managed=managed)
        return user


class WithoutGroups(ByIdentity):
    def update_user(self, user: Any, claims: Any) -> Any:
        user = super().update_user(user, claims)
        self.apply_groups(user, claims, "groups", staff=[], superusers=[])
        return user


@pytest.fixture
def silence(caplog) -> Callable[[], list[str]]:
    """Return a function that returns what a process that starts here has logged about groups that did not come."""
    backends._warn_of_silence.cache_clear()
    return lambda: [text for text in caplog.messages if text.startswith("The claim groups did not come")]


def test_groups_that_do_not_come_are_said_once_and_rights_stay(log_in, policy, silence) -> None:
    policy(ByGroups)
    log_in({"groups": ["a"]})
    assert silence() == []
    for _ in range(3):
        user = log_in({"groups": ABSENT}).user
    (line,) = silence()
    assert "rights by groups stay as they are: check OIDC_GROUPS_CLAIM" in line
    assert list(user.groups.values_list("name", flat=True)) == ["a"]


def test_group_overage_is_said_as_such(log_in, policy, silence) -> None:
    policy(ByGroups)
    log_in({"groups": ABSENT, "_claim_names": {"groups": "src1"}})
    assert "Entra ID leaves it out for people in many groups" in silence()[0]


def test_groups_that_give_nothing_may_stay_away(log_in, policy, silence) -> None:
    policy(WithoutGroups)
    log_in({"groups": ABSENT})
    assert silence() == []


@pytest.mark.parametrize("is_debugging", [True, False])
def test_a_developer_reads_of_groups_that_do_not_come(log_in, policy, settings, silence, is_debugging: bool) -> None:
    policy(ByGroups)
    settings.DEBUG = is_debugging
    for _ in range(2):
        shown = [str(message) for message in get_messages(log_in({"groups": ABSENT}).get("/").wsgi_request)]
        assert shown[:1] == (silence() if is_debugging else [])


def test_changes_of_groups_at_the_same_time_do_not_mix(at_once, policy) -> None:
    policy(ByGroups)
    at_once([{"groups": ["a"]}])
    at_once([{"groups": names} for names in (["a", "b"], ["c"], ["a", "b"], ["c"])])
    names = sorted(User.objects.get().groups.values_list("name", flat=True))
    assert names in (["a", "b"], ["c"])
