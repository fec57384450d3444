"""Years later: cruft brings a newer template into a site, with the answers of the first time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rendering import REPOSITORY, SITE


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def cruft(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cruft", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A repository of its own with this template as it stands."""
    folder = tmp_path / "template"
    for part in ("cookiecutter_django_oidc_v1", "hooks", SITE.name):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "cookiecutter.json", folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Path:
    name = json.dumps({"project_name": "The {{ curly }} Site"})
    created = cruft(tmp_path, "create", str(template), "--no-input", "--extra-context", name)
    assert created.returncode == 0, created.stdout + created.stderr
    folder = tmp_path / "the_curly_site"
    git(folder, "init", "--quiet")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_newer_template_reaches_the_site_and_leaves_its_env_alone(template: Path, site: Path) -> None:
    env = (site / ".env").read_text()
    (template / SITE.name / "oidc" / "newer.py").write_text('"""Something newer."""\n')
    git(template, "add", "-A")
    git(template, "commit", "--quiet", "-m", "second")
    updated = cruft(site, "update", "--skip-apply-ask")
    assert updated.returncode == 0, updated.stdout + updated.stderr
    assert (site / "oidc" / "newer.py").exists()
    assert (site / ".env").read_text() == env
    assert 'SITE_NAME = "The {{ curly }} Site"' in (site / "config" / "settings.py").read_text()


def test_answers_are_checked_at_an_update_too(template: Path, tmp_path: Path) -> None:
    answers = json.dumps({"session_renewal_seconds": "often"})
    refused = cruft(tmp_path, "create", str(template), "--no-input", "--extra-context", answers)
    assert refused.returncode == 1
    assert "session_renewal_seconds: 'often' is not 0" in refused.stdout + refused.stderr
    assert not (tmp_path / "my_site").exists()
