"""An issuer of many tenants: only the tenants of the allow-list, each with its own issuer and keys."""

from collections.abc import Iterator

import pytest
from django.core.checks import run_checks
from django.test import Client

from oidc.internal import tenants
from oidc.models import Identity
from oidc.testing.browser import Browser
from oidc.testing.op import ABSENT, OP
from tests.relying_party.profiles import TENANT, ProviderOP

OTHER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
def entra(op: OP, settings) -> Iterator[ProviderOP]:
    with ProviderOP(provider="entra_multi", site_url=settings.SITE_URL) as entra:
        for name, value in entra.settings().items():
            setattr(settings, name, value)
        yield entra


@pytest.fixture
def browser(entra: ProviderOP, db: None) -> Browser:
    return Browser(entra)


def of(entra: ProviderOP, tenant: str) -> str:
    return f"{entra.base}/{tenant}/v2.0"


def test_people_of_a_listed_tenant_are_known_by_the_issuer_of_their_tenant(entra, browser) -> None:
    assert browser.outcome() == "signed_in"
    assert Identity.objects.get().issuer == of(entra, TENANT)


def test_the_same_subject_in_two_tenants_is_two_people(entra, browser, settings) -> None:
    settings.OIDC_TENANTS = (TENANT, OTHER)
    assert browser.outcome() == "signed_in"
    entra.claims |= {"tid": OTHER, "iss": of(entra, OTHER)}
    assert Browser(entra).outcome() == "signed_in"
    assert Identity.objects.count() == 2


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"tid": OTHER, "iss": "{base}/" + OTHER + "/v2.0"}, id="a-tenant-that-is-not-listed"),
        pytest.param({"tid": OTHER}, id="a-foreign-tid"),
        pytest.param({"iss": "{base}/" + OTHER + "/v2.0"}, id="a-foreign-iss"),
        pytest.param({"tid": ABSENT}, id="no-tid"),
        pytest.param({"tid": [TENANT]}, id="no-text"),
        pytest.param({"tid": TENANT.upper()}, id="other-letters"),
        pytest.param({"iss": "{base}/{tenantid}/v2.0"}, id="the-template-itself"),
        pytest.param({"iss": "{base}/organizations/v2.0"}, id="the-address"),
        pytest.param({"iss": ABSENT}, id="no-iss"),
    ],
)
def test_anything_else_is_refused(entra, browser, claims) -> None:
    texts = {name: value for name, value in claims.items() if isinstance(value, str)}
    entra.claims |= claims | {name: text.replace("{base}", entra.base) for name, text in texts.items()}
    assert browser.outcome() == "id_token_issuer"
    assert not Identity.objects.exists()


@pytest.mark.parametrize(
    ("scope", "outcome"),
    [
        ("{base}/{tenantid}/v2.0", "signed_in"),
        ("{base}/" + TENANT + "/v2.0", "signed_in"),
        ("{base}/" + OTHER + "/v2.0", "id_token_key"),
        ("https://elsewhere.example/{tenantid}/v2.0", "id_token_key"),
        ("", "id_token_key"),
    ],
)
def test_a_key_signs_for_the_tenants_that_it_names(entra, browser, scope: str, outcome: str) -> None:
    entra.jwks[0]["issuer"] = scope.replace("{base}", entra.base)
    assert browser.outcome() == outcome


def test_without_a_list_nobody_may_and_the_check_says_so(entra, browser, settings) -> None:
    settings.OIDC_TENANTS = []
    assert browser.outcome() == "metadata_invalid"
    assert "oidc.E011" in {message.id for message in run_checks()}
    settings.OIDC_TENANTS = [TENANT]
    assert "oidc.E011" not in {message.id for message in run_checks()}


@pytest.mark.parametrize("wrong", [["contoso.onmicrosoft.com"], [TENANT, "*"], TENANT, [TENANT.upper()]])
def test_the_list_has_ids_and_nothing_else(entra, settings, wrong) -> None:
    settings.OIDC_TENANTS = wrong
    assert "oidc.E011" in {message.id for message in run_checks()}


def test_metadata_of_another_template_is_refused(entra, browser) -> None:
    entra.metadata["issuer"] = "https://elsewhere.example/{tenantid}/v2.0"
    assert browser.outcome() == "metadata_invalid"


def test_a_front_channel_logout_reaches_the_sessions_of_every_tenant(entra, browser, settings) -> None:
    settings.OIDC_FRONTCHANNEL_LOGOUT, entra.claims["sid"] = True, "session-1"
    assert browser.outcome() == "signed_in"
    assert Client().get("/oidc/frontchannel-logout/?sid=session-1", headers={"host": "localhost"}).status_code == 200
    assert not browser.is_signed_in


def test_a_refreshed_token_of_another_tenant_renews_nothing(entra, browser, settings) -> None:
    settings.OIDC_RENEWAL, settings.OIDC_TENANTS = "refresh_token", [TENANT, OTHER]
    browser.log_in()
    browser.age(900)
    entra.claims |= {"tid": OTHER, "iss": of(entra, OTHER)}
    assert browser.get("/page/").status_code == 302
    assert not browser.is_signed_in


def test_a_renewal_without_an_id_token_says_nothing_about_the_tenant(entra, browser, settings, caplog) -> None:
    settings.OIDC_RENEWAL = "refresh_token"
    browser.log_in()
    browser.age(900)
    entra.token_response["id_token"] = ABSENT
    browser.get("/page/")
    assert "reason=id_token_malformed" in caplog.text


def test_an_ordinary_issuer_has_no_tenants(settings) -> None:
    settings.OIDC_OP_ISSUER = "https://op.example.org/organizations/v2.0"
    assert tenants.template() == settings.OIDC_OP_ISSUER
    assert tenants.issuers() == [settings.OIDC_OP_ISSUER]
    assert tenants.scopes_of_keys("no token") is None
    settings.OIDC_TENANTS = [TENANT]
    assert tenants.scopes_of_keys("no token") == []
