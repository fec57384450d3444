"""What is rendered: for each choice, from hostile answers, and what is never there."""

import ast
import json
import re
import stat
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cookiecutter_django_oidc_v2 import answers
from cookiecutter_django_oidc_v2.quoting import quoted
from tests.rendering import SITE, files_of, render, run_cookiecutter

HOSTILE_NAMES = [
    "O'Connor & Söhne",
    'The "Best" Site',
    "back\\slash \\n \\u0041 \\",
    "{{ 7 * 7 }} {% raw %} {# comment #} }} %}",
    "# no comment",
    "two\nlines\r\nand\ttabs\x7f\x00",
    "🦊 emoji 👩‍👩‍👧",
    "שלום עולם \u202e مرحبا",
    "'''\"\"\"",
    "${SECRET_KEY} $(reboot) `reboot` %s",
    "<script>alert(1)</script>]]> --> [a](javascript:b)",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)

REAL = ["uv run manage.py oidc_doctor", "uv run manage.py dev"]
CHOICES = [
    (question, option)
    for question, options in answers.questions().items()
    if isinstance(options, list | bool)
    for option in (options if isinstance(options, list) else [True, False])
    if option != "github"  # which is refused
]


def parse_everything(site: Path) -> None:
    for path in (path for path in site.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        match path.suffix:
            case ".py":
                compile(text, path, "exec")
            case ".toml":
                tomllib.loads(text)
            case ".yaml" | ".yml":
                list(yaml.safe_load_all(text))
            case ".json":
                json.loads(text)
            case ".html" | ".svg":
                HTMLParser().feed(text)
        if path.name.startswith(".env"):
            lines = [line for line in text.splitlines() if line and not line.startswith("#")]
            assert all(re.fullmatch(r"[A-Z_]+=[A-Za-z0-9._~:/?@&+,;=%-]*", line) for line in lines), path


def site_name(site: Path) -> str:
    module = ast.parse((site / "config" / "settings.py").read_text(encoding="utf-8"))
    values = {node.targets[0].id: node.value for node in module.body if isinstance(node, ast.Assign)}
    return ast.literal_eval(values["SITE_NAME"])


@pytest.mark.parametrize(("question", "option"), CHOICES)
def test_every_choice_renders_files_that_parse(tmp_path: Path, question: str, option: object) -> None:
    site = render(tmp_path, **{question: option})
    parse_everything(site)
    leftovers = {name: text for name, text in files_of(site).items() if re.search(rb"\{[{%] *cookiecutter", text)}
    assert leftovers == {}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_safe_in_every_file(tmp_path: Path, name: str) -> None:
    site = render(tmp_path, project_name=name)
    parse_everything(site)
    assert site_name(site) == name
    assert tomllib.loads((site / "pyproject.toml").read_text(encoding="utf-8"))["project"]["description"] == name
    heading = (site / "README.md").read_text(encoding="utf-8").splitlines()[0]
    assert heading.startswith("# ")
    assert "<" not in heading.replace("\\<", "")


def test_hostile_names_are_safe_when_typed(tmp_path: Path) -> None:
    name = "{{ 7 * 7 }} 'quoted' \"doubly\" \\ 🦊"
    result = run_cookiecutter(tmp_path, typed=f"{name}\nour_site\n" + "\n" * 14)
    assert (result.returncode, result.stderr) == (0, "")
    parse_everything(tmp_path / "our_site")
    assert site_name(tmp_path / "our_site") == name


@given(TEXT)
def test_python_literals_keep_any_text(text: str) -> None:
    literal = quoted(text, "python")
    assert ast.literal_eval(literal) == text
    assert literal.isprintable()


@given(TEXT)
def test_toml_strings_keep_any_text(text: str) -> None:
    assert tomllib.loads(f"a = {quoted(text, 'toml')}") == {"a": text}


@given(TEXT.filter(lambda text: not re.search(r"[\r\n]", text)))
def test_env_values_are_one_word_or_quoted(text: str) -> None:
    assert re.fullmatch(r'[^\s"\'\\#$]*|"([^"\\]|\\["\\])*"', quoted(text, "env"), re.DOTALL)


def test_two_renders_differ_in_env_only(tmp_path: Path) -> None:
    first, second = files_of(render(tmp_path / "1")), files_of(render(tmp_path / "2"))
    assert {name for name in first if first[name] != second[name]} == {".env"}
    assert first.keys() == second.keys()


def test_secrets_are_fresh_private_and_not_tracked(tmp_path: Path, git_repository) -> None:
    site = render(tmp_path)
    assert stat.S_IMODE((site / ".env").stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in (site / ".env").read_text().splitlines() if re.match("[A-Z]", line))
    secrets = [values["SECRET_KEY"], values["OIDC_RP_CLIENT_SECRET"]]
    assert all(len(secret) >= 40 for secret in secrets)
    git_repository(site)
    tracked = subprocess.run(["git", "ls-files"], cwd=site, capture_output=True, text=True, check=True).stdout.split()
    assert ".env.example" in tracked
    assert ".env" not in tracked
    for name in tracked:
        content = (site / name).read_text(encoding="utf-8")
        assert not any(secret in content for secret in secrets)


def test_env_example_has_no_value_that_works_as_a_secret(tmp_path: Path) -> None:
    example = (render(tmp_path) / ".env.example").read_text()
    assert {"SECRET_KEY=", "OIDC_RP_CLIENT_ID=", "OIDC_RP_CLIENT_SECRET=", "DEBUG="} <= set(example.splitlines())
    # The groups of the development OP's users mean something else at another OP.
    assert {"OIDC_STAFF_GROUPS=", "OIDC_SUPERUSER_GROUPS="} <= set(example.splitlines())


def test_an_env_that_is_there_is_kept(tmp_path: Path) -> None:
    site = render(tmp_path)
    (site / ".env").write_text("SECRET_KEY=mine\n")
    assert run_cookiecutter(tmp_path, "--overwrite-if-exists").returncode == 0
    assert (site / ".env").read_text() == "SECRET_KEY=mine\n"


def test_no_secret_is_asked_for() -> None:
    assert not [name for name in answers.questions() if re.search("secret|key|password|client", name)]


@pytest.mark.parametrize(
    ("answer", "steps"),
    [
        ("local", ["cd my_site", "uv run manage.py dev"]),
        (
            "keycloak",
            ["cd my_site", "# At Keycloak, register", *["#   "] * 2, "# In .env, set OIDC_OP_ISSUER, OIDC_RP_C", *REAL],
        ),
        (
            "google",
            ["cd my_site", "# At Google, register", *["#   "] * 2, "# In .env, set OIDC_RP_CLIENT_ID and", *REAL],
        ),
        ("entra_multi", ["cd", *["#"] * 4, "# In config/settings.py, fill OIDC_TENANTS.", *REAL]),
    ],
)
def test_generation_ends_with_the_next_commands(tmp_path: Path, answer: str, steps: list[str]) -> None:
    result = run_cookiecutter(tmp_path, f"oidc_provider={answer}")
    lines = [line.strip() for line in result.stdout.partition("\nNext:")[2].splitlines() if line]
    assert all(line.startswith(step) for line, step in zip(lines, steps, strict=True))


def test_endpoints_that_were_answered_are_in_the_environment(tmp_path: Path) -> None:
    names = ("authorization", "token", "user", "jwks", "end_session")
    endpoints = {f"oidc_op_{name}_endpoint": f"https://op.example.org/{name}?a=1&b=%20" for name in names}
    site = render(tmp_path, oidc_provider="other", **endpoints)
    env = (site / ".env").read_text().splitlines()
    assert {f"{name.upper()}={value}" for name, value in endpoints.items()} <= set(env)


@pytest.mark.parametrize("engine", ["django", "jinja2"])
def test_one_set_of_pages_is_rendered_as_it_stands(tmp_path: Path, engine: str) -> None:
    folder = render(tmp_path, template_engine=engine) / "templates"
    rendered = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.html")}
    condition, end = f"{{% if cookiecutter.template_engine == '{engine}' %}}", "{% endif %}"
    sources = {
        str(path.relative_to(SITE / "templates")).replace(condition, "").replace(end, ""): path.read_bytes()
        for path in (SITE / "templates").rglob("*.html*")
        if condition in path.name or "{" not in path.name
    }
    assert rendered == sources
    assert set(rendered) == {"base.html", "developer.html", "error.html", "home.html", "profile.html"}


@pytest.mark.parametrize("engine", ["django", "jinja2"])
def test_the_relying_party_is_rendered_as_it_stands(tmp_path: Path, engine: str) -> None:
    rendered = files_of(render(tmp_path, template_engine=engine) / "oidc")
    assert rendered == {name: content for name, content in files_of(SITE / "oidc").items() if "__pycache__" not in name}


def test_generation_needs_nothing_but_python() -> None:
    """The hook borrows a module of the site, which makes `.env` there too."""
    files = [SITE.parent / "hooks" / "post_gen_project.py", SITE / "dev" / "environment.py"]
    imported = {
        name for file in files for name in re.findall(r"^(?:from|import) (\w+)", file.read_text(), re.MULTILINE)
    }
    assert imported - {"dev"} <= set(sys.stdlib_module_names)
