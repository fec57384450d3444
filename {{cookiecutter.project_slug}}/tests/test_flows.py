"""One of each flow, with a policy of its own: whether the login is built into this site as it should be."""

import pytest

from accounts.models import User
from oidc.models import Identity
from oidc.testing.op import PERSON, private_key


@pytest.fixture(autouse=True)
def policy(settings) -> None:
    """Everybody may log in, and sessions are renewed."""
    settings.AUTHENTICATION_BACKENDS = ["oidc.backends.OIDCAuthenticationBackend"]
    settings.OIDC_CREATE_USER = True
    settings.OIDC_RENEWAL, settings.OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS = "redirect", 900
    settings.OIDC_LOGOUT_DIALECT = "standard"


@pytest.fixture
def staff(op, db) -> User:
    """A member of the staff, whom the OP of the test knows."""
    user = User.objects.create_user("staff", is_staff=True)
    Identity.objects.create(user=user, issuer=op.issuer, subject=PERSON["sub"])
    return user


def test_a_login_makes_a_user_and_goes_back_to_the_page_that_needed_it(browser) -> None:
    assert browser.log_in(next_url="/admin/?tab=1")["Location"] == "/admin/?tab=1"
    assert browser.user == User.objects.get()


def test_a_forged_token_is_refused_with_a_page_that_has_a_reference(op, browser) -> None:
    op.key = private_key("RSA", 2)
    page = browser.log_in().content.decode()
    (refusal,) = browser.refusals
    assert refusal["reason"].code == "id_token_signature"
    assert refusal["reference"] in page
    assert not browser.is_signed_in


def test_a_logout_ends_the_session_here_and_at_the_sign_in_service(op, browser) -> None:
    browser.log_in()
    assert browser.log_out().status_code == 200
    assert not browser.is_signed_in
    assert not op.sessions


def test_a_session_that_is_due_is_renewed_without_a_page(op, browser, staff) -> None:
    browser.log_in()
    browser.age(900)
    response = browser.get("/admin/")
    assert "prompt=none" in response["Location"]
    assert browser.follow(response).status_code == 200
    assert len(op.asked("/token")) == 2


def test_the_sign_in_service_can_end_a_session(op, browser, client) -> None:
    browser.log_in()
    token = op.logout_token(sub=PERSON["sub"])
    assert client.post("/oidc/backchannel-logout/", {"logout_token": token}).status_code == 200
    assert not browser.is_signed_in


def test_staff_reach_the_admin_through_the_sign_in_service(browser, staff) -> None:
    assert browser.get("/admin/login/?next=/admin/")["Location"] == "/oidc/authenticate/?next=/admin/"
    browser.log_in()
    assert browser.get("/admin/").status_code == 200


def test_the_admins_own_logout_goes_to_the_sign_in_service_too(op, signed_in_client, staff) -> None:
    response = signed_in_client(staff).post("/admin/logout/")
    assert response["Location"].startswith(f"{op.issuer}/end-session?")


def test_the_admins_password_form_is_closed_unless_the_environment_opens_it(client, db, settings) -> None:
    assert client.get("/admin/password/").status_code == 404
    settings.BREAK_GLASS_LOGIN = True
    assert client.get("/admin/password/").status_code == 200


def test_djangos_own_ways_to_log_in_a_test_simply_work(op, client, admin_client, staff) -> None:
    client.force_login(staff)
    assert [client.get("/admin/").status_code, admin_client.get("/admin/").status_code] == [200, 200]
    assert op.requests == []
