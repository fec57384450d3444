"""Asking: on a terminal a wrong answer is asked again; elsewhere it ends the command with one line."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import ClickException

from cookiecutter_django_oidc_v2 import discovery
from oidc.testing.op import OP, Handler, dead, responds, slow
from tests.rendering import REPOSITORY, config_file, copy_template, render, run_cookiecutter
from tests.terminal import Terminal

DISCOVERY = discovery.WELL_KNOWN


@pytest.fixture
def op() -> Iterator[OP]:
    """An OP on this machine that offers algorithms of which this site knows some."""
    with OP() as op:
        op.metadata["id_token_signing_alg_values_supported"] = ["ES256", "none", "PS256", "RS256", "ES256K"]
        yield op


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """The command on a terminal."""
    command = [sys.executable, "-m", "cookiecutter", str(REPOSITORY), "--config-file", str(config_file(tmp_path))]
    with Terminal(command, tmp_path) as terminal:
        yield terminal


def answers_of(folder: Path) -> dict:
    return json.loads(next((folder / "replay").iterdir()).read_text())["cookiecutter"]


def drip(handler: Handler) -> None:
    """Send a byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.op.closed.wait(0.2):
        handler.wfile.write(b" ")


def test_a_whole_session_with_every_kind_of_mistake_loses_nothing(terminal: Terminal, tmp_path: Path, op: OP) -> None:
    op.latency = 0.3
    terminal.expect("[1/16]")
    terminal.type("   ")
    terminal.expect("project_name: '' is empty")
    terminal.expect("[1/16]")
    terminal.type("Our Site")
    terminal.expect("(our_site)")
    terminal.type("our-site")
    terminal.expect("project_slug: 'our-site' is not a Python name")
    terminal.expect("[2/16]")
    terminal.expect("(our_site)")
    terminal.type()
    terminal.expect("[3/16]")
    terminal.type("2")
    terminal.expect("[4/16]")
    terminal.type("20")
    terminal.expect("oidc_provider: 'github' cannot be the sign-in service. GitHub is no OpenID Provider")
    terminal.expect("[4/16]")
    terminal.expect("21 - Another one")
    terminal.type("21")
    terminal.expect("[5/16]")
    terminal.type("op.example.org")
    terminal.expect("oidc_op_issuer: 'op.example.org' is not a URL")
    terminal.expect("(https://op.example.org)")
    terminal.type(f"{op.issuer}{DISCOVERY}")
    terminal.expect(f"Asking {op.issuer}{DISCOVERY}")
    terminal.expect(f"({op.issuer}/authorize)")
    terminal.type()
    terminal.expect(f"({op.issuer}/token)")
    terminal.type("http://op.example.org/token")
    terminal.expect("must begin with https://")
    terminal.expect("[7/16]")
    terminal.expect(f"({op.issuer}/token)")
    terminal.type()
    for number, path in ((8, "userinfo"), (9, "jwks"), (10, "end-session")):
        terminal.expect(f"[{number}/16]")
        terminal.expect(f"({op.issuer}/{path})")
        terminal.type()
    terminal.expect("[11/16]")
    terminal.expect("1 - RS256")
    terminal.expect("2 - PS256")
    terminal.expect("3 - ES256")
    terminal.expect("Choose from [1/2/3] (1)")
    terminal.type("3")
    for number in (12, 13, 14):
        terminal.expect(f"[{number}/16]")
        terminal.type()
    terminal.expect("[15/16]")
    terminal.type("often")
    terminal.expect("session_renewal_seconds: 'often' is not 0 (never) or a whole number")
    terminal.expect("(900)")
    terminal.type("600")
    terminal.expect("[16/16]")
    terminal.expect("1 - Django templates")
    terminal.type()
    terminal.expect("Decided:")
    terminal.expect(f"Sign-in service  your provider, {op.issuer}")
    terminal.expect("looked up at the issuer")
    terminal.expect("Next:")
    terminal.expect("http://localhost:8000/oidc/callback/")
    terminal.expect("uv run manage.py oidc_doctor")
    assert terminal.wait() == 0
    answers = answers_of(tmp_path)
    decided = ("Our Site", "our_site", "6.1", "other", op.issuer, "ES256", "600")
    names = "project_name project_slug django_version oidc_provider oidc_op_issuer oidc_rp_sign_algo"
    assert tuple(answers[name] for name in [*names.split(), "session_renewal_seconds"]) == decided
    assert len(op.asked(DISCOVERY)) == 1


def test_enter_keeps_the_development_op_and_says_so(terminal: Terminal) -> None:
    for number in range(1, 17):
        terminal.expect(f"[{number}/16]")
        if number == 6:
            assert "Enter keeps it at the next six questions" in terminal.shown
        terminal.type()
    terminal.expect("the development OP, http://localhost:9400")
    assert terminal.wait() == 0
    assert "oidc_doctor" not in terminal.shown


def test_the_preset_of_a_provider_comes_first_where_nothing_is_known(terminal: Terminal, tmp_path: Path) -> None:
    for number in range(1, 17):
        terminal.expect(f"[{number}/16]")
        terminal.type({4: "14", 5: "https://idm.example.org/oauth2/openid/my-site/"}.get(number, ""))
        if number == 11:
            terminal.expect("1 - ES256")
    assert terminal.wait() == 0
    assert answers_of(tmp_path)["oidc_rp_sign_algo"] == "ES256"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (dead, "'Remote end closed"),
        (responds(b"<html>"), "it is not JSON"),
        (responds([1]), "it is not a JSON object"),
        (responds({"issuer": "https://elsewhere.example"}), "it is the document of 'https://elsewhere.example'"),
        (responds({}, status=404), "'Not Found'"),
        (responds({}, status=302, Location="/elsewhere"), "'Found'"),
        (slow, "no response within 3 seconds"),
        (drip, "no response within 3 seconds"),
    ],
)
def test_an_op_that_cannot_be_asked_costs_one_line_and_three_seconds(tmp_path: Path, op: OP, fault, says: str) -> None:
    op.faults[DISCOVERY] = fault
    started = time.monotonic()
    result = run_cookiecutter(tmp_path, "oidc_provider=other", f"oidc_op_issuer={op.issuer}")
    assert time.monotonic() - started < 3 + 3
    assert result.returncode == 0
    assert result.stderr.startswith(f"No metadata at {op.issuer} ({says}")
    assert len(result.stderr.splitlines()) == 1
    assert answers_of(tmp_path)["oidc_rp_sign_algo"] == "RS256"
    assert "\nOIDC_OP_TOKEN_ENDPOINT=\n" in (tmp_path / "my_site" / ".env").read_text()


def test_an_issuer_named_by_its_discovery_document_is_spelt_as_that_says(tmp_path: Path, op: OP) -> None:
    op.metadata["issuer"] = f"{op.issuer}/"
    result = run_cookiecutter(tmp_path, "oidc_provider=other", f"oidc_op_issuer={op.issuer}{DISCOVERY}")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"\nOIDC_OP_ISSUER={op.issuer}/\n" in (tmp_path / "my_site" / ".env").read_text()


@pytest.mark.parametrize(
    ("offered", "answered", "algorithm"),
    [
        (["ES256", "PS256"], {}, "PS256"),
        (["ES256", "RS256"], {}, "RS256"),
        (["ES256", "HS256"], {}, "ES256"),
        (["none"], {}, "RS256"),
        (["ES256"], {"oidc_rp_sign_algo": "RS512"}, "RS512"),
    ],
)
def test_the_algorithm_is_the_ops_unless_another_one_is_answered(
    tmp_path: Path, op: OP, offered: list[str], answered: dict[str, str], algorithm: str
) -> None:
    op.metadata["id_token_signing_alg_values_supported"] = offered
    arguments = [f"{name}={answer}" for name, answer in answered.items()]
    result = run_cookiecutter(tmp_path, "oidc_provider=other", f"oidc_op_issuer={op.issuer}", *arguments)
    assert result.returncode == 0
    assert answers_of(tmp_path)["oidc_rp_sign_algo"] == algorithm
    assert result.stderr == ("oidc_rp_sign_algo: the OP does not offer RS512, but ES256.\n" if answered else "")


def test_an_algorithm_on_the_command_line_is_kept_even_if_it_is_the_first_one(tmp_path: Path) -> None:
    result = run_cookiecutter(tmp_path, "oidc_provider=kanidm", "oidc_rp_sign_algo=RS256")
    assert result.returncode == 0
    assert answers_of(tmp_path)["oidc_rp_sign_algo"] == "RS256"


@pytest.mark.parametrize("published", [None, "", "ftp://op.example.org"])
def test_an_endpoint_that_the_op_does_not_really_have_is_no_answer(tmp_path: Path, op: OP, published) -> None:
    op.metadata["end_session_endpoint"] = published
    assert run_cookiecutter(tmp_path, "oidc_provider=other", f"oidc_op_issuer={op.issuer}").returncode == 0
    assert not [name for name, answer in answers_of(tmp_path).items() if name.endswith("_endpoint") and answer]


def test_one_endpoint_of_ones_own_keeps_the_others_as_they_are(tmp_path: Path, op: OP) -> None:
    own = "oidc_op_token_endpoint=https://op.example.org/token"
    assert run_cookiecutter(tmp_path, "oidc_provider=other", f"oidc_op_issuer={op.issuer}", own).returncode == 0
    env = (tmp_path / "my_site" / ".env").read_text()
    assert "\nOIDC_OP_TOKEN_ENDPOINT=https://op.example.org/token\n" in env
    assert f"\nOIDC_OP_JWKS_ENDPOINT={op.issuer}/jwks\n" in env


def test_endpoints_on_the_command_line_cause_no_request(tmp_path: Path, op: OP) -> None:
    names = ("authorization", "token", "user", "jwks", "end_session")
    endpoints = {f"oidc_op_{name}_endpoint": f"https://op.example.org/{name}" for name in names}
    render(tmp_path, oidc_provider="other", oidc_op_issuer=op.issuer, **endpoints)
    assert op.requests == []


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [("nonsense=1", ""), ("sign_alg=ES256", "oidc_rp_sign_algo"), ("provider=keycloak", "oidc_provider")],
)
def test_an_unknown_name_on_the_command_line_is_refused_with_the_nearest_one(
    tmp_path: Path, argument: str, nearest: str
) -> None:
    result = run_cookiecutter(tmp_path, argument)
    assert result.returncode == 1
    assert result.stderr.startswith(
        f"Error: {argument.partition('=')[0]}: there is no such question. The nearest one is"
    )
    assert nearest in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "my_site").exists()


@pytest.mark.parametrize(
    ("provider", "issuer", "says"),
    [
        ("github", "https://github.com", "GitHub is no OpenID Provider"),
        ("keycloak", "https://keycloak.example.org/realms/ours/", "without a slash behind it"),
        ("keycloak", "https://keycloak.example.org", "ends with /realms/"),
        ("entra", "https://login.microsoftonline.com/common/v2.0", "answer entra_multi"),
        ("entra", "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0", "no domain name"),
        ("entra_multi", "https://login.microsoftonline.com/your-tenant-id/v2.0", "answer entra"),
        ("okta", "https://our-org.okta.com/oauth2/default", "answer okta_custom"),
        ("okta_custom", "https://our-org.okta.com", "ends with /oauth2/"),
        ("auth0", "https://our-tenant.auth0.com", "with a slash at the end"),
        ("cognito", "https://ours.auth.eu-central-1.amazoncognito.com", "not the pool's domain"),
        ("google", "https://accounts.google.com/", "without a slash"),
        ("gitlab", "https://gitlab.com/", "without a slash"),
        ("authentik", "https://authentik.example.org/application/o/ours", "ends with a slash"),
        ("zitadel", "https://ours.zitadel.cloud/oauth/v2", "without a path"),
        ("kanidm", "https://idm.example.org/oauth2/openid/ours", "with a slash"),
        ("adfs", "https://adfs.example.org", "/adfs"),
        ("pingone", "https://auth.pingone.eu/an-environment", "ends with /as"),
        ("onelogin", "https://ours.onelogin.com", "ends with /oidc/2"),
        ("jumpcloud", "https://oauth.id.jumpcloud.com", "with the slash at the end"),
        ("authelia", "https://auth.example.org/", "without a slash"),
    ],
)
def test_the_usual_mistake_of_each_provider_is_caught(tmp_path: Path, provider: str, issuer: str, says: str) -> None:
    with pytest.raises(
        ClickException, match=f"{'oidc_provider' if provider == 'github' else 'oidc_op_issuer'}: "
    ) as refused:
        render(tmp_path, oidc_provider=provider, oidc_op_issuer=issuer)
    assert says in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_cruft_ends_with_one_line_too(tmp_path: Path, git_repository) -> None:
    git_repository(copy := copy_template(tmp_path / "template"))
    command = [sys.executable, "-m", "cruft", "create", str(copy), "--no-input", "--extra-context"]
    for context, says in [
        ({"session_renewal_seconds": "often"}, "Error: session_renewal_seconds: 'often' is not 0"),
        ({"sign_alg": "ES256"}, "Error: sign_alg: there is no such question. The nearest one is oidc_rp_sign_algo."),
    ]:
        refused = subprocess.run([*command, json.dumps(context)], cwd=tmp_path, capture_output=True, text=True)
        assert refused.returncode == 1
        assert refused.stderr.startswith(says)
        assert len(refused.stderr.splitlines()) == 1


def test_cruft_asks_again_too(tmp_path: Path, git_repository) -> None:
    git_repository(copy := copy_template(tmp_path / "template"))
    with Terminal([sys.executable, "-m", "cruft", "create", str(copy)], tmp_path) as terminal:
        terminal.expect("[1/16]")
        terminal.type()
        terminal.expect("[2/16]")
        terminal.type("class")
        terminal.expect("project_slug: 'class' is a name that Python")
        terminal.expect("(class_site)")
        terminal.type()
        terminal.expect("[3/16]")
