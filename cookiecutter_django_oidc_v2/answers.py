"""The rules that answers keep, each with what is wrong and how to correct it."""

import json
import keyword
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from cookiecutter_django_oidc_v2 import command, presets
from cookiecutter_django_oidc_v2.urls import web_url_problem

Answers = Mapping[str, Any]

REPOSITORY = Path(__file__).resolve().parent.parent

# Folders and packages of the rendered site; a project of the same name would hide or require itself.
SITE_MODULES = {
    "accounts", "config", "cryptography", "csp", "dev", "django", "django_stubs_ext", "environ", "grimp", "gunicorn",
    "importlinter", "jinja2", "jwt", "manage", "mozilla_django_oidc", "mypy", "mypy_django_plugin", "oidc", "pages",
    "psycopg", "pytest", "redis", "requests", "ruff", "static", "staticfiles", "templates", "test", "tests",
    "whitenoise",
}  # fmt: skip
DISTRIBUTIONS = {
    "asgiref", "ast_serialize", "async_timeout", "certifi", "cffi", "charset_normalizer", "click", "colorama",
    "django_csp", "django_environ", "django_stubs", "idna", "import_linter", "iniconfig", "librt", "markdown_it_py",
    "markupsafe", "mdurl", "mypy_extensions", "packaging", "pathspec", "pluggy", "psycopg_binary", "psycopg_pool",
    "pycparser", "pygments", "pyjwt", "pytest_django", "rich", "sqlparse", "types_pyyaml", "types_requests",
    "typing_extensions", "tzdata", "urllib3",
}  # fmt: skip
# Windows has no folders of these names.
DEVICES = {"aux", "con", "nul", "prn", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
LONGEST_NAME = 80
LONGEST_SLUG = 63  # as the names of Kubernetes, one of which it becomes
RENEWAL_SECONDS = range(60, 86_401)
# The endpoints of the questions, and what the metadata calls them.
ENDPOINTS = {
    "authorization": "authorization_endpoint",
    "token": "token_endpoint",
    "user": "userinfo_endpoint",
    "jwks": "jwks_uri",
    "end_session": "end_session_endpoint",
}


def slug(name: str) -> str:
    """Return a project slug for a project name: "Zoë's Café" gives zoes_cafe."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", re.sub(r"['`]", "", ascii_name))
    text = "_".join(words)[:LONGEST_SLUG].strip("_") or "my_site"
    if text[0].isdigit():
        text = f"site_{text}"[:LONGEST_SLUG].strip("_")
    return f"{text}_site" if _is_taken(text) else text


def problem(answers: Answers, question: str, is_rendering: bool = False) -> str:
    """Return what is wrong with the answer to `question`, "" if nothing is; `is_rendering`: its folder is there."""
    if question not in answers:
        return ""
    default = questions()[question]
    if isinstance(default, list | bool) and (wrong := _choice_problem(answers[question], default)):
        return wrong
    wrong = RULES[question](answers) if question in RULES else ""
    return wrong or (folder_problem(answers) if question == "project_slug" and not is_rendering else "")


def folder_to_enter(answers: Answers) -> str:
    """Return the project's folder as it is called from where the command was started."""
    parent = command.options().get("output_dir") or answers.get("_output_dir", ".")
    return Path(parent, str(answers["project_slug"])).as_posix()


def remove_empty(answers: Answers) -> None:
    """Remove the project's folder if the engine has just made it."""
    # The engine has made the folder by now; cruft's own, for which it sets no _output_dir, is a temporary one.
    if parent := answers.get("_output_dir"):
        # A folder that was there before holds somebody's work, and stays.
        with suppress(OSError):
            Path(str(parent), str(answers["project_slug"])).rmdir()


@cache
def questions() -> dict[str, Any]:
    """Return the questions of cookiecutter.json with their defaults."""
    return {name: default for name, default in texts().items() if not name.startswith("_")}


@cache
def texts() -> dict[str, Any]:
    """Return cookiecutter.json."""
    content: dict[str, Any] = json.loads((REPOSITORY / "cookiecutter.json").read_text(encoding="utf-8"))
    return content


def project_name_problem(answers: Answers) -> str:
    """Valid: My Site, O'Connor & 東京. Invalid: only spaces, a whole paragraph."""
    text = str(answers["project_name"])
    if not text.strip():
        return "is empty, give the site a name such as My Site"
    if len(text) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters, choose a shorter name"
    return "has characters that are no text, type it anew" if re.search("[\ud800-\udfff]", text) else ""


def project_slug_problem(answers: Answers) -> str:
    """Valid: my_site. Invalid: my-site, 1site, class, django."""
    text = str(answers["project_slug"])
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(_+[A-Za-z0-9]+)*", text) or len(text) > LONGEST_SLUG:
        return f"is not a Python name of at most {LONGEST_SLUG} letters, digits and _ between them, such as my_site"
    if _is_taken(text):
        return f"is a name that Python or a package of the site has already, choose another such as {text}_site"
    return ""


def folder_problem(answers: Answers) -> str:
    """Tell whether the project's folder is there already; who calls the engine without its command may have that."""
    options = command.options()
    if "output_dir" not in options or options.get("overwrite_if_exists"):
        return ""
    folder = Path(options["output_dir"], str(answers["project_slug"]))
    return f"exists already in {folder.parent.resolve()}, choose another name or remove it" if folder.exists() else ""


def issuer_problem(answers: Answers) -> str:
    """Valid: https://op.example.org/realms/a. Invalid: op.example.org, https://op.example.org/?tenant=a."""
    issuer = str(answers["oidc_op_issuer"])
    if problem := web_url_problem(issuer, "https://op.example.org"):
        return problem
    if "?" in issuer:
        return "has a query, which an issuer never has (Discovery 1.0, section 3)"
    return presets.chosen(answers).issuer_problem(issuer)


def provider_problem(answers: Answers) -> str:
    """Valid: keycloak. Invalid: github."""
    refused = presets.chosen(answers).refused
    return f"cannot be the sign-in service. {refused}" if refused else ""


def endpoint_problem(name: str) -> Callable[[Answers], str]:
    """Return the rule for an endpoint. Valid: empty, https://op.example.org/token. Invalid: http://op.example.org."""

    def problem(answers: Answers) -> str:
        endpoint = str(answers[f"oidc_op_{name}_endpoint"])
        return web_url_problem(endpoint) if endpoint else ""

    return problem


def algorithm_problem(answers: Answers) -> str:
    """Valid: HS256; RS256 with a JWKS endpoint, or with no endpoint at all (all are looked up). Invalid: XX256."""
    if answers["oidc_rp_sign_algo"] == "HS256" or answers["oidc_op_jwks_endpoint"]:
        return ""
    if any(answers[f"oidc_op_{name}_endpoint"] for name in ENDPOINTS):
        return "needs the OP's public keys, answer oidc_op_jwks_endpoint, or leave all endpoints empty to look them up"
    return ""


def renewal_problem(answers: Answers) -> str:
    """Valid: 0, 900. Invalid: 1, -1, often."""
    text = str(answers["session_renewal_seconds"])
    if re.fullmatch(r"[0-9]{1,6}", text) and (int(text) == 0 or int(text) in RENEWAL_SECONDS):
        return ""
    return f"is not 0 (never) or a whole number of seconds from {RENEWAL_SECONDS[0]} to {RENEWAL_SECONDS[-1]}"


RULES: dict[str, Callable[[Answers], str]] = {
    "project_name": project_name_problem,
    "project_slug": project_slug_problem,
    "oidc_provider": provider_problem,
    "oidc_op_issuer": issuer_problem,
    **{f"oidc_op_{name}_endpoint": endpoint_problem(name) for name in ENDPOINTS},
    "oidc_rp_sign_algo": algorithm_problem,
    "session_renewal_seconds": renewal_problem,
}


def _choice_problem(answer: Any, default: Any) -> str:
    if isinstance(default, bool):
        return "" if isinstance(answer, bool) else "is neither true nor false"
    return "" if answer in default else f"is not one of {', '.join(default)}"


def _is_taken(text: str) -> bool:
    taken = SITE_MODULES | DISTRIBUTIONS | DEVICES | {module.lower() for module in sys.stdlib_module_names}
    return keyword.iskeyword(text) or text.lower() in taken
