"""The questions: what is asked, what is right by default, and what a wrong answer gets."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import ClickException

from cookiecutter_django_oidc_v2 import answers, presets
from oidc.testing.op import DISCOVERY, OP
from tests.rendering import REPOSITORY, files_of, render, run_cookiecutter

QUESTIONS = [
    "project_name", "project_slug", "django_version", "oidc_provider", "oidc_op_issuer",
    "oidc_op_authorization_endpoint", "oidc_op_token_endpoint", "oidc_op_user_endpoint", "oidc_op_jwks_endpoint",
    "oidc_op_end_session_endpoint", "oidc_rp_sign_algo", "user_matching", "create_users", "username",
    "session_renewal_seconds", "template_engine",
]  # fmt: skip

WRONG = [
    ("project_name", "   ", "is empty"),
    ("project_name", "x" * 81, "is longer than 80 characters"),
    ("project_slug", "", "is not a Python name"),
    ("project_slug", "my-site", "is not a Python name"),
    ("project_slug", "1site", "is not a Python name"),
    ("project_slug", "../site", "is not a Python name"),
    ("project_slug", "x" * 65, "is not a Python name"),
    ("project_slug", "class", "choose another such as class_site"),
    ("project_slug", "test", "choose another such as test_site"),
    ("project_slug", "site", "choose another such as site_site"),
    ("project_slug", "Django", "choose another such as Django_site"),
    ("project_slug", "oidc", "choose another such as oidc_site"),
    ("project_slug", "urllib3", "choose another such as urllib3_site"),
    ("project_slug", "con", "choose another such as con_site"),
    ("oidc_op_issuer", "", "is not a URL"),
    ("oidc_op_issuer", "op.example.org", "is not a URL"),
    ("oidc_op_issuer", "http://op.example.org", "must begin with https://"),
    ("oidc_op_issuer", "https://op.example.org?tenant=1", "has a query"),
    ("oidc_op_issuer", "https://op.example.org/#a", "is not a URL"),
    ("oidc_op_issuer", "https://user:password@op.example.org", "is not a URL"),
    ("oidc_op_issuer", "https://op.example.org:port", "is not a URL"),
    ("oidc_op_authorization_endpoint", "http://op.example.org/authorize", "must begin with https://"),
    ("oidc_op_token_endpoint", "token", "is not a URL"),
    ("oidc_op_user_endpoint", "ftp://op.example.org", "is not a URL"),
    ("oidc_op_jwks_endpoint", "https://op.example.org/a b", "is not a URL"),
    ("oidc_op_end_session_endpoint", 'https://op.example.org/"', "is not a URL"),
    ("session_renewal_seconds", "-1", "is not 0 (never) or a whole number"),
    ("session_renewal_seconds", "59", "is not 0 (never) or a whole number"),
    ("session_renewal_seconds", "often", "is not 0 (never) or a whole number"),
]


def defaults() -> dict:
    return json.loads((REPOSITORY / "cookiecutter.json").read_text())


def test_the_questions_are_the_public_ones_and_each_is_worded() -> None:
    texts = defaults()
    assert [name for name in texts if not name.startswith("_")] == QUESTIONS
    assert list(texts["__prompts__"]) == QUESTIONS


def test_every_choice_is_worded() -> None:
    texts = defaults()
    for name, options in answers.questions().items():
        if isinstance(options, list):
            assert set(texts["__prompts__"][name]) == {"__prompt__", *options}


def test_every_provider_has_an_issuer_that_is_a_good_answer() -> None:
    assert list(presets.presets()) == defaults()["oidc_provider"]
    for name, preset in presets.presets().items():
        assert answers.issuer_problem({"oidc_provider": name, "oidc_op_issuer": preset.issuer}) == ""


@pytest.mark.parametrize(("question", "answer", "says"), WRONG)
def test_a_wrong_answer_is_refused_and_leaves_nothing_behind(tmp_path: Path, question, answer, says) -> None:
    with pytest.raises(ClickException) as refused:
        render(tmp_path, **{question: answer})
    assert refused.value.exit_code == 1
    assert refused.value.message.startswith(f"{question}: ")
    assert says in refused.value.message
    assert "\n" not in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_where_nobody_answers_any_more_the_command_ends_with_one_line(tmp_path: Path) -> None:
    result = run_cookiecutter(tmp_path, typed="Our Site\nour-site\n")
    assert result.returncode == 1
    assert "project_slug: 'our-site'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "[2/16]" in result.stdout
    assert "[3/16]" not in result.stdout


def test_enter_is_a_right_answer_to_every_question(tmp_path: Path) -> None:
    result = run_cookiecutter(tmp_path, typed="\n" * 16)
    assert (result.returncode, result.stderr) == (0, "")
    assert "[16/16]" in result.stdout
    rendered = files_of(tmp_path / "my_site")
    default = files_of(render(tmp_path / "default"))
    assert without_env(rendered) == without_env(default)


def without_env(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != ".env"}


def test_a_folder_that_exists_is_refused_at_its_question_and_kept(tmp_path: Path) -> None:
    (tmp_path / "my_site").mkdir()
    (tmp_path / "my_site" / "work").touch()
    result = run_cookiecutter(tmp_path, typed="\n\n")
    assert result.returncode == 1
    assert "project_slug: 'my_site' exists already in" in result.stderr
    assert "[3/16]" not in result.stdout
    assert [path.name for path in (tmp_path / "my_site").iterdir()] == ["work"]


@pytest.mark.parametrize("algorithm", [name for name in answers.questions()["oidc_rp_sign_algo"] if name != "HS256"])
def test_an_asymmetric_algorithm_needs_a_jwks_endpoint(tmp_path: Path, algorithm: str) -> None:
    endpoints = {"oidc_op_authorization_endpoint": "https://op.example.org/authorize", "oidc_op_jwks_endpoint": ""}
    with pytest.raises(ClickException, match=f"oidc_rp_sign_algo: '{algorithm}' needs the OP's public keys"):
        render(tmp_path, oidc_provider="other", oidc_rp_sign_algo=algorithm, **endpoints)


def test_hs256_needs_no_jwks_endpoint_and_is_explained(tmp_path: Path) -> None:
    render(tmp_path, oidc_rp_sign_algo="HS256", oidc_op_jwks_endpoint="")
    assert "forge" in defaults()["__prompts__"]["oidc_rp_sign_algo"]["HS256"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("oidc_op_issuer", "http://op.example.org"),
        ("project_slug", "django"),
        ("user_matching", "anybody"),
        ("create_users", "import os"),
    ],
)
def test_a_replay_is_checked_too_and_leaves_nothing_behind(tmp_path: Path, question: str, answer: str) -> None:
    assert run_cookiecutter(tmp_path).returncode == 0
    (tmp_path / "my_site").rename(tmp_path / "first")
    replay = next((tmp_path / "replay").iterdir())
    context = json.loads(replay.read_text())
    context["cookiecutter"][question] = answer
    context["cookiecutter"].pop("_output_dir")
    replay.write_text(json.dumps(context))
    result = run_cookiecutter(tmp_path, "--replay", typed="")
    assert result.returncode == 1
    assert f"Error: {question}: " in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cookiecutter.yaml", "first", "replay"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My Site", "my_site"),
        ("Zoë's Café & Bar", "zoes_cafe_bar"),
        ("3 Doors", "site_3_doors"),
        ("Test", "test_site"),
        ("東京", "my_site"),
        ("x" * 80, "x" * 63),
    ],
)
def test_a_project_name_suggests_a_good_slug(name: str, slug: str) -> None:
    assert answers.slug(name) == slug
    assert answers.project_slug_problem({"project_slug": slug}) == ""


@pytest.fixture(params=["", "/realms/ours"])
def issuer(request: pytest.FixtureRequest) -> Iterator[str]:
    """An OP on this machine that has a discovery document, at the root or below a path."""
    with OP() as op:
        op.metadata["issuer"] = op.issuer + request.param
        op.endpoints[request.param + DISCOVERY] = op.endpoints[DISCOVERY]
        if request.param:
            del op.endpoints[DISCOVERY]
        yield op.metadata["issuer"]


def test_endpoints_are_suggested_from_the_issuers_metadata(tmp_path: Path, issuer: str) -> None:
    result = run_cookiecutter(tmp_path, typed=f"\n\n\n21\n{issuer}\n" + "\n" * 11)
    assert (result.returncode, result.stderr) == (0, "")
    base = re.match(r"http://[^/]+", issuer)[0]
    assert f"({base}/jwks)" in result.stdout.replace("\n", "")


def test_an_issuer_without_metadata_leaves_the_endpoints_empty_and_says_so(tmp_path: Path) -> None:
    result = run_cookiecutter(tmp_path, "oidc_op_issuer=http://localhost:1/nobody")
    assert result.returncode == 0
    assert result.stderr.startswith("No metadata at http://localhost:1/nobody (")
    assert "\nOIDC_OP_TOKEN_ENDPOINT=\n" in (tmp_path / "my_site" / ".env").read_text()


def test_suggested_issuers_are_not_asked_over_the_network(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("generation talks to the network"))
    for provider in presets.presets().keys() - {"github"}:
        render(tmp_path / provider, oidc_provider=provider)
