"""Every provider of presets.toml, with the settings that a site for it has: login, groups and logout."""

from collections.abc import Iterator
from typing import Any

import pytest

from oidc.building_blocks import claims as read
from oidc.building_blocks import users
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, OP
from tests.relying_party.profiles import PRESETS, PROFILES, ProviderOP
from tests.relying_party.stub.backends import Backend


class TeamsBackend(Backend):
    """The policy as it is rendered for a provider."""

    claims: Any = None
    no_claim_means_none = False

    def update_user(self, user: Any, claims: Any) -> Any:
        from django.conf import settings

        TeamsBackend.claims = claims
        users.copy_claims(user, claims, {"email": "email"})
        user.save()
        staff, absent = settings.OIDC_STAFF_GROUPS, self.no_claim_means_none
        self.apply_groups(user, claims, settings.OIDC_GROUPS_CLAIM, staff=staff, no_claim_means_none=absent)
        return user


@pytest.fixture(params=PROFILES)
def provider(request: pytest.FixtureRequest, op: OP, settings, monkeypatch) -> Iterator[ProviderOP]:
    """The OP in the role of each provider, and the site with the settings of its preset."""
    with ProviderOP(provider=request.param, site_url=settings.SITE_URL) as provider:
        for name, value in provider.settings().items():
            setattr(settings, name, value)
        settings.OIDC_STAFF_GROUPS = [provider.profile.staff]
        settings.AUTHENTICATION_BACKENDS = [f"{__name__}.TeamsBackend"]
        monkeypatch.setattr(TeamsBackend, "no_claim_means_none", "no_groups_why" in provider.preset)
        yield provider


@pytest.fixture
def browser(provider: ProviderOP, db: None) -> Browser:
    return Browser(provider)


def test_every_preset_that_can_be_chosen_has_a_profile() -> None:
    assert [*PROFILES] == [name for name, preset in PRESETS.items() if "refused" not in preset]


def test_a_login_brings_address_and_groups(provider: ProviderOP, browser: Browser) -> None:
    response = browser.log_in()
    assert browser.is_signed_in, [(refusal["reason"].code, response.content) for refusal in browser.refusals]
    assert browser.user.email == "person@example.org"
    assert browser.user.is_staff is (provider.profile.groups is not ABSENT)
    assert bool(read.verified_email(TeamsBackend.claims)) is provider.profile.is_verified
    authorize = provider.path.rstrip("/") + "/authorize"
    assert provider.profile.group_scope in provider.asked(authorize)[0].query["scope"].split()


def test_who_leaves_all_groups_loses_the_rights_at_the_next_login(provider: ProviderOP, browser: Browser) -> None:
    browser.log_in()
    assert browser.user.is_staff is (provider.profile.groups is not ABSENT)
    provider.put_into(provider.profile.no_groups)
    browser.log_in()
    assert not browser.user.is_staff


def test_userinfo_is_asked_only_where_it_has_something_to_say(provider: ProviderOP, browser: Browser) -> None:
    browser.log_in()
    asked = provider.asked(provider.path.rstrip("/") + "/userinfo")
    assert bool(asked) is (provider.settings().get("OIDC_USERINFO") != "when-needed")


def test_a_logout_ends_the_session_at_the_provider_or_says_that_it_goes_on(
    provider: ProviderOP, browser: Browser
) -> None:
    browser.log_in()
    page = browser.log_out()
    assert page.status_code == 200
    assert not browser.is_signed_in
    has_endpoint = provider.profile.metadata.get("end_session_endpoint") is not ABSENT
    assert bool(provider.sessions) is not has_endpoint
    assert page.request["PATH_INFO"] == ("/" if has_endpoint else "/oidc/logged-out/")


def test_groups_that_entra_id_leaves_out_for_their_number_take_no_rights_away(django_user_model, db) -> None:
    user = django_user_model.objects.create(username="kim", is_staff=True)
    claims = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}}
    TeamsBackend().apply_groups(user, claims, "groups", staff=["staff"], no_claim_means_none=True)
    assert user.is_staff
    TeamsBackend().apply_groups(user, {}, "groups", staff=["staff"], no_claim_means_none=True)
    assert not user.is_staff
