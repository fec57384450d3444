"""Presets: what is said about a provider is complete, and reaches the site that is rendered for it, and no other."""

import ast
import re
from contextlib import suppress
from pathlib import Path

import pytest

from cookiecutter_django_oidc_v2.presets import Preset, presets
from tests.generator import providers
from tests.rendering import render

CHOSEN = [op for op in presets().values() if not op.refused]
LONGEST_LINE = 120


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("default"))


@pytest.fixture(scope="module", params=CHOSEN, ids=lambda op: op.name)
def op(request: pytest.FixtureRequest) -> Preset:
    """Each provider that can be chosen."""
    return request.param


@pytest.fixture(scope="module")
def site(op: Preset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that is rendered for the provider."""
    return render(tmp_path_factory.mktemp(op.name), oidc_provider=op.name)


def settings_of(site: Path) -> dict[str, tuple[str, object]]:
    """Return each setting of a site with the comment above it and its value or, where it is read, its default."""
    text = (site / "config" / "settings.py").read_text(encoding="utf-8")
    lines, found = text.splitlines(), {}
    for node in (node for node in ast.parse(text).body if isinstance(node, ast.Assign | ast.AnnAssign)):
        value, target = node.value, node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(value, ast.Call):
            value = next((word.value for word in value.keywords if word.arg == "default"), value)
        above = lines[node.lineno - 2]
        found[ast.unparse(target)] = above if above.startswith("#") else "", literal(value)
    return found


def literal(value: ast.expr) -> object:
    """Return the value of a literal, or the source of anything else."""
    with suppress(ValueError):
        return ast.literal_eval(value)
    return ast.unparse(value)


def test_a_site_has_the_settings_of_its_provider_each_with_its_reason(op: Preset, site: Path, default: Path) -> None:
    usual, rendered = settings_of(default), settings_of(site)
    expected = {setting["name"]: (f"# {setting['why']}", setting["value"]) for setting in op.settings}
    if op.groups_claim != "groups":
        expected["OIDC_GROUPS_CLAIM"] = f"# {op.groups_why}", op.groups_claim
    if op.scopes != "openid email profile":
        expected["OIDC_RP_SCOPES"] = f"# {op.scopes_why}", op.scopes
    if op.algorithm != "RS256":
        expected["OIDC_RP_SIGN_ALGO"] = "", op.algorithm
    assert {name: value for name, value in rendered.items() if usual.get(name) != value} == expected
    assert all(len(comment) > 20 for name, (comment, _) in expected.items() if name != "OIDC_RP_SIGN_ALGO")


def test_rights_go_where_the_provider_sends_no_claim_for_people_in_no_group(op: Preset, site: Path) -> None:
    policy = (site / "accounts" / "backends.py").read_text(encoding="utf-8")
    assert ("no_claim_means_none=True" in policy) is bool(op.no_groups_why)
    assert op.no_groups_why in policy


def test_the_readme_has_the_steps_of_this_provider_and_of_no_other(op: Preset, site: Path) -> None:
    readme = (site / "README.md").read_text(encoding="utf-8")
    text, real = " ".join(readme.split()), presets()["other"] if op.name == "local" else op
    assert f"\n## Connect it to {real.label}\n" in readme
    for step in real.steps:
        assert " ".join(re.split(r"\{\w+\}", step)[0].split()) in text
    assert "`http://localhost:8000/oidc/callback/`" in text
    assert "{callback}" not in text
    for other in CHOSEN:
        own = [step for step in other.steps if step not in real.steps and "{" not in step]
        assert not [step for step in own if step in text], other.name
    assert max(map(len, re.findall(r"^(?:- |\d\. |  +).*", readme, re.MULTILINE))) <= LONGEST_LINE


def test_an_issuer_elsewhere_with_the_answer_local_is_that_of_another_provider(tmp_path: Path) -> None:
    site = render(tmp_path, oidc_op_issuer="https://op.example.org")
    assert "Before that, connect the site" in (site / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("preset", CHOSEN, ids=lambda preset: preset.name)
def test_a_preset_says_all_that_somebody_has_to_know(preset: Preset) -> None:
    facts = (preset.label, preset.issuer, preset.groups, preset.claims, preset.email, preset.client, preset.logout)
    assert all(facts)
    assert preset.admission
    assert preset.steps or preset.name == "local"
    assert (preset.groups_claim == "groups") is not bool(preset.groups_why)
    assert (preset.scopes == "openid email profile") is not bool(preset.scopes_why)
    assert all(setting.keys() == {"name", "value", "why"} for setting in preset.settings)
    assert all(len(f"# {setting['why']}") <= LONGEST_LINE for setting in preset.settings)
    assert set(re.findall(r"\{(\w+)\}", " ".join(preset.steps))) <= {"callback", "home", "backchannel", "frontchannel"}


@pytest.mark.parametrize("preset", CHOSEN, ids=lambda preset: preset.name)
def test_nothing_that_was_not_confirmed_is_a_setting(preset: Preset) -> None:
    reasons = [preset.groups_why, preset.scopes_why, *(setting["why"] for setting in preset.settings)]
    assert "check" not in " ".join(reasons)
    if "check" in preset.groups:
        assert (preset.groups_claim, preset.scopes) == ("groups", "openid email profile")


def test_the_document_about_providers_is_made_from_the_presets() -> None:
    assert providers.DOCUMENT.read_text(encoding="utf-8") == providers.document()
