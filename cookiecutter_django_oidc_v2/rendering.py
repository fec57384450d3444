"""The parts of a rendered site that depend on its provider, and the words at the end of the questions."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from cookiecutter_django_oidc_v2.answers import ENDPOINTS, folder_to_enter
from cookiecutter_django_oidc_v2.presets import Preset, chosen, presets, usual_issuer
from cookiecutter_django_oidc_v2.quoting import quoted

Answers = Mapping[str, Any]

LOCAL_SITE = "http://localhost:8000"
PATHS = {
    "callback": "/oidc/callback/",
    "home": "/",
    "backchannel": "/oidc/backchannel-logout/",
    "frontchannel": "/oidc/frontchannel-logout/",
}
# What an issuer has that somebody has to fill in, and the settings that are rendered empty for the same reason.
EXAMPLE = re.compile(r"example\.org|your-")
TO_FILL = ("OIDC_TENANTS", "OIDC_TRUSTED_AUDIENCES")
WIDTH = 120


def preset(answers: Answers, name: str) -> str:
    """Return a field of the chosen provider's preset."""
    value: str = getattr(chosen(answers), name)
    return value


def reason(answers: Answers, name: str) -> str:
    """Return the comment above a setting that differs from the default, "" above one that does not."""
    why = getattr(chosen(answers), f"{name}_why")
    return f"# {why}\n" if why else ""


def provider_settings(answers: Answers) -> str:
    """Return the further settings of the chosen provider as lines of Python, each below its reason."""
    lines = settings_of(chosen(answers))
    return "\n" + "\n".join(lines) if lines else ""


def settings_of(op: Preset) -> list[str]:
    """Return the further settings of a provider as lines of Python, each below its reason."""
    return [
        line
        for setting in op.settings
        for line in (f"# {setting['why']}", f"{setting['name']}{_typed(setting['value'])}")
    ]


def provider_name(answers: Answers) -> str:
    """Return the name of the provider to which the site is to be connected."""
    return _real(answers).label


def provider_steps(answers: Answers) -> str:
    """Return what to do to connect the site to its provider, and what to know about that, as lists for its README."""
    op = _real(answers)
    steps = [*steps_of(op, LOCAL_SITE), f"In `.env`, {_variables(op, answers)}."]
    notes = ["", "Worth knowing:", "", *bulleted(notes_of(op))] if op.name != "other" else []
    return "\n".join([*numbered(steps), *notes, ""])


def steps_of(op: Preset, site: str) -> list[str]:
    """Return what to do at a provider, with the URLs of `site`."""
    urls = {name: f"`{site}{path}`" for name, path in PATHS.items()}
    return [_filled(step, urls) for step in op.steps]


def notes_of(op: Preset) -> list[str]:
    """Return what to know about a provider."""
    facts = {"Who can log in": op.admission, "Groups": op.groups, "E-mail": op.email, "Logout": op.logout}
    return [f"{name}: {fact}" for name, fact in facts.items() if fact] + op.quirks


def numbered(texts: list[str]) -> list[str]:
    """Return texts as items of a numbered list, wrapped."""
    return [wrapped(text, f"{number}. ") for number, text in enumerate(texts, 1)]


def bulleted(texts: list[str]) -> list[str]:
    """Return texts as items of a list, wrapped."""
    return [wrapped(text, "- ") for text in texts]


def wrapped(text: str, mark: str = "") -> str:
    """Return text in lines of 120 characters, behind a mark such as "- "."""
    indent = " " * len(mark)
    return textwrap.fill(mark + text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def closing_words(answers: Answers) -> str:
    """Return what was decided, and the commands that lead from there to the first login."""
    return "\n".join(["", "Decided:", "", *_table(_decisions(answers)), "", "Next:", "", *_next(answers), ""])


def _real(answers: Answers) -> Preset:
    """Return the chosen provider; the development OP needs no connection, so some other one will come in its place."""
    op = chosen(answers)
    return op if op.name != "local" else presets()["other"]


def _decisions(answers: Answers) -> dict[str, str]:
    op, issuer = chosen(answers), answers["oidc_op_issuer"]
    endpoints = [endpoint for endpoint in ENDPOINTS if answers[f"oidc_op_{endpoint}_endpoint"]]
    seconds = int(answers["session_renewal_seconds"])
    return {
        "Site": " ".join(f"{answers['project_name']}, in {answers['project_slug']}/".split()),
        "Django": f"{answers['django_version']}, {answers['template_engine']} templates",
        "Sign-in service": f"{op.label}, {issuer}",
        "Endpoints": f"as answered: {', '.join(endpoints)}" if endpoints else "looked up at the issuer",
        "Algorithm": answers["oidc_rp_sign_algo"],
        "Groups": f"claim {op.groups_claim}; scopes {op.scopes}",
        "Users": f"matched by {answers['user_matching']}, "
        + ("made at the first login" if answers["create_users"] else "made by an administrator")
        + f", named by {answers['username']}",
        "Renewal": f"every {seconds} seconds" if seconds else "never",
    }


def _next(answers: Answers) -> list[str]:
    op, folder = chosen(answers), folder_to_enter(answers)
    lines = [f'cd "{folder}"' if " " in folder else f"cd {folder}"]
    if op.name != "local":
        lines += [
            f"# At {op.label}, register the site as README.md says, step by step, with these URLs:",
            f"#   redirect URI              {LOCAL_SITE}{PATHS['callback']}",
            f"#   post-logout redirect URI  {LOCAL_SITE}{PATHS['home']}",
            f"# In .env, {_variables(op, answers).replace('`', '')}.",
        ]
        to_fill = [setting["name"] for setting in op.settings if setting["name"] in TO_FILL]
        lines += [*(f"# In config/settings.py, fill {name}." for name in to_fill), "uv run manage.py oidc_doctor"]
    return [f"  {line}" for line in [*lines, "uv run manage.py dev"]]


def _variables(op: Preset, answers: Answers) -> str:
    """Return which variables to set: the issuer too, where it is an example."""
    issuer = answers["oidc_op_issuer"]
    is_example = issuer == usual_issuer("local") or (issuer == op.issuer and EXAMPLE.search(issuer))
    names = [*(["OIDC_OP_ISSUER"] if is_example else []), "OIDC_RP_CLIENT_ID", "OIDC_RP_CLIENT_SECRET"]
    return f"set {', '.join(f'`{name}`' for name in names[:-1])} and `{names[-1]}`"


def _table(rows: Mapping[str, str]) -> Iterable[str]:
    return [f"  {name:<16} {value}" for name, value in rows.items()]


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _typed(value: object) -> str:
    # A type checker cannot guess what an empty list is for.
    return f" = {quoted(value, 'python')}" if isinstance(value, str) else f": list[str] = {value!r}"
