"""The commands of the package: `clean_up` and `deactivate_user`."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oidc.internal import session
from oidc.models import Identity, LoginSession, SignIn, SpentToken
from oidc.testing.browser import Browser
from oidc.testing.op import OP, PERSON

# clean_up


def test_sessions_that_have_ended_are_forgotten(log_in, capsys) -> None:
    running, ended = log_in(), log_in({"sub": "another"})
    Session.objects.filter(pk=ended.client.session.session_key).update(expire_date=timezone.now() - timedelta(days=1))
    call_command("clean_up")
    assert [row.session_key for row in LoginSession.objects.all()] == [running.client.session.session_key]
    assert Session.objects.count() == 1
    assert "1 notes of sessions" in capsys.readouterr().out
    assert running.get("/page/").status_code == 200


@pytest.mark.parametrize("limit", [12 * 60 * 60, 0])
def test_sessions_that_vanished_without_a_logout_are_forgotten_when_none_can_live(log_in, settings, limit: int) -> None:
    settings.OIDC_SESSION_MAX_SECONDS = limit
    log_in()
    Session.objects.all().delete()
    LoginSession.objects.update(began=timezone.now() - timedelta(days=15))
    call_command("clean_up")
    assert not LoginSession.objects.exists()


@pytest.mark.parametrize(("limit", "left"), [(12 * 60 * 60, 1), (0, 2)])
def test_sessions_beyond_the_limit_are_deleted_and_others_are_not(log_in, settings, limit: int, left: int) -> None:
    settings.OIDC_SESSION_MAX_SECONDS = limit
    old, _ = log_in(), log_in({"sub": "another"})
    long_ago = timezone.now() - timedelta(days=20)
    LoginSession.objects.filter(session_key=old.client.session.session_key).update(began=long_ago)
    call_command("clean_up")
    assert Session.objects.count() == LoginSession.objects.count() == left


@pytest.mark.parametrize(("arguments", "days"), [([], 90), (["--days", "7"], 7)])
def test_records_of_logins_are_kept_for_a_time(db: None, capsys, arguments: list[str], days: int) -> None:
    user = User.objects.create_user("kim")
    for age in (days - 1, days + 1):
        record = SignIn.objects.create(user=user)
        SignIn.objects.filter(pk=record.pk).update(at=timezone.now() - timedelta(days=age))
    call_command("clean_up", *arguments)
    assert [(timezone.now() - record.at).days for record in SignIn.objects.all()] == [days - 1]
    assert "1 records of logins deleted." in capsys.readouterr().out


def test_logout_tokens_are_remembered_until_they_have_expired(db: None) -> None:
    for name, seconds in (("good", 60), ("expired", -60)):
        SpentToken.objects.create(digest=name, expires=timezone.now() + timedelta(seconds=seconds))
    call_command("clean_up")
    assert list(SpentToken.objects.values_list("digest", flat=True)) == ["good"]


def test_users_and_their_identities_stay(log_in) -> None:
    log_in()
    Session.objects.all().delete()
    call_command("clean_up", "--days", "0")
    assert User.objects.count() == Identity.objects.count() == 1


def test_cleaning_up_twice_is_no_error(db: None, capsys) -> None:
    call_command("clean_up")
    call_command("clean_up")
    assert capsys.readouterr().out.endswith("0 notes of sessions and 0 records of logins deleted.\n")


def test_many_sessions_are_cleaned_up_in_batches_each_in_its_own_transaction(transactional_db: None) -> None:
    rows = (LoginSession(session_key=f"key-{n}", issuer="https://op.example.org", subject="s") for n in range(1203))
    LoginSession.objects.bulk_create(rows)
    LoginSession.objects.update(began=timezone.now() - timedelta(days=1))
    deleted = []

    def note(execute, sql, parameters, many, context) -> object:
        if sql.startswith("DELETE"):
            deleted.append(len(parameters))
        else:
            assert not connection.in_atomic_block, "a transaction goes beyond one batch"
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        call_command("clean_up")
    assert not LoginSession.objects.exists()
    assert max(deleted) == session.BATCH


def test_cleaning_up_reads_no_session_that_goes_on(db: None) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            call_command("clean_up")
        return len(captured)

    before = queries()
    rows = (LoginSession(session_key=f"key-{n}", issuer="https://op.example.org", subject="s") for n in range(1203))
    LoginSession.objects.bulk_create(rows)
    assert queries() == before


# deactivate_user


@pytest.mark.parametrize("who", ["person@example.org", "PERSON@Example.org", PERSON["sub"], "kim"])
def test_a_person_is_shut_out_by_address_subject_or_username(log_in, capsys, who: str) -> None:
    browser = log_in({"preferred_username": "kim"})
    call_command("deactivate_user", who)
    assert not User.objects.get().is_active
    assert browser.get("/page/").status_code == 302
    assert capsys.readouterr().out == "kim is deactivated; 1 session ended.\n"


def test_every_session_of_the_person_ends_at_once(log_in, capsys) -> None:
    browsers = [log_in(), log_in()]
    bystander = log_in({"sub": "bystander", "email": "bystander@example.org"})
    call_command("deactivate_user", PERSON["sub"])
    assert [browser.is_signed_in for browser in [*browsers, bystander]] == [False, False, True]
    assert bystander.get("/page/").status_code == 200
    assert "2 sessions ended" in capsys.readouterr().out


def test_sessions_of_every_identity_of_the_person_end(log_in) -> None:
    first = log_in()
    Identity.objects.create(user=first.user, issuer=first.op.issuer, subject="second")
    second = log_in({"sub": "second"})
    assert second.user == first.user
    call_command("deactivate_user", PERSON["sub"])
    assert not LoginSession.objects.exists()
    assert not second.is_signed_in


def test_whoever_was_shut_out_is_told_so_at_the_next_login(browser: Browser) -> None:
    browser.log_in()
    call_command("deactivate_user", PERSON["sub"])
    assert browser.log_in().status_code == 403
    assert browser.refusals[-1]["reason"].code == "user_inactive"


def test_somebody_who_never_logged_in_can_be_shut_out(db: None, capsys) -> None:
    User.objects.create_user("kim")
    call_command("deactivate_user", "kim")
    assert not User.objects.get().is_active
    assert "0 sessions ended" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("who", "says"),
    [
        pytest.param("nobody", "No user has the address, subject or username nobody", id="nobody"),
        pytest.param("kim@example.org", "2 users have it: first, second", id="several"),
        pytest.param("", "No user", id="nothing-said"),
    ],
)
def test_nobody_is_shut_out_by_guess(db: None, who: str, says: str) -> None:
    for name in ("first", "second"):
        User.objects.create_user(name, "kim@example.org")
    User.objects.create_user("without-an-address")
    with pytest.raises(CommandError, match=says):
        call_command("deactivate_user", who)
    assert User.objects.filter(is_active=True).count() == 3


def test_a_subject_that_two_ops_gave_names_two_people(db: None) -> None:
    for name in ("first", "second"):
        user = User.objects.create_user(name)
        Identity.objects.create(user=user, issuer=f"https://{name}.example.org", subject="1")
    with pytest.raises(CommandError, match="2 users have it"):
        call_command("deactivate_user", "1")


def test_somebody_with_several_identities_is_one_person(db: None) -> None:
    user = User.objects.create_user("1")
    for issuer in ("https://one.example.org", "https://two.example.org"):
        Identity.objects.create(user=user, issuer=issuer, subject="1")
    call_command("deactivate_user", "1")
    assert not User.objects.get().is_active


def test_other_fields_of_the_user_stay(db: None) -> None:
    before = User.objects.create_user("kim", "kim@example.org", is_staff=True, password="x")
    call_command("deactivate_user", "kim")
    after = User.objects.get()
    assert (after.email, after.is_staff, after.password) == (before.email, True, before.password)


def test_a_session_that_no_op_began_is_of_no_use_either(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("kim"))
    assert client.get("/page/", SERVER_NAME="localhost").status_code == 200
    call_command("deactivate_user", "kim")
    assert client.get("/page/", SERVER_NAME="localhost").status_code == 302


def test_it_asks_nobody(op: OP, db: None) -> None:
    User.objects.create_user("kim")
    call_command("deactivate_user", "kim")
    assert op.requests == []
