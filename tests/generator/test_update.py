"""Years later: cruft brings a newer template into a site, with the answers of the first time."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import pythons, team
from tests.rendering import REPOSITORY, SITE, copy_template
from tests.sites.site import Site

NEWER_MODEL = '''

class Newer(models.Model):
    """Something that a newer template brings."""

    name = models.CharField(max_length=10, primary_key=True)
'''
NEWER_MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("oidc", "{last}")]
    operations = [
        migrations.CreateModel("Newer", [("name", models.CharField(max_length=10, primary_key=True, serialize=False))])
    ]
"""


def cruft(folder: Path, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cruft", *arguments]
    return subprocess.run(command, cwd=folder, input=typed, capture_output=True, text=True, timeout=120)


@pytest.fixture
def template(tmp_path: Path, git_repository: Callable[..., None]) -> Path:
    """A repository of its own with this template as it stands."""
    folder = copy_template(tmp_path / "template")
    git_repository(folder)
    return folder


@pytest.fixture
def site(template: Path, tmp_path: Path, git_repository: Callable[..., None]) -> Path:
    name = json.dumps({"project_name": "The {{ curly }} Site"})
    created = cruft(tmp_path, "create", str(template), "--no-input", "--extra-context", name)
    assert created.returncode == 0, created.stdout + created.stderr
    folder = tmp_path / "the_curly_site"
    git_repository(folder)
    return folder


def update(site: Path) -> None:
    """Update a site, without a question and without a reject."""
    updated = cruft(site, "update", "--skip-apply-ask")
    assert updated.returncode == 0, updated.stdout + updated.stderr
    assert list(site.rglob("*.rej")) == []
    unmerged = subprocess.run(
        ["git", "diff", "--name-only", "--diff-filter=U"], cwd=site, capture_output=True, text=True
    )
    assert unmerged.stdout == ""


def test_the_first_command_of_the_readme_makes_a_site_that_can_be_updated(template: Path, tmp_path: Path) -> None:
    command = re.search(r"```\n(?:uvx )(\S.*) REPOSITORY_URL\n", (REPOSITORY / "README.md").read_text())[1]
    program, *arguments = command.split()
    assert program == "cruft"
    created = cruft(tmp_path, *arguments, str(template), typed="\n" * 20)
    assert created.returncode == 0, created.stdout + created.stderr
    assert "[16/16]" in created.stdout
    assert cruft(tmp_path / "my_site", "check").returncode == 0


def test_a_site_made_without_cruft_can_be_linked(template: Path, tmp_path: Path, git_repository: Callable) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "--no-input", "--default-config"], cwd=tmp_path
    )
    assert made.returncode == 0
    git_repository(tmp_path / "my_site")
    linked = cruft(tmp_path / "my_site", "link", str(template), typed="\n" * 20)
    assert linked.returncode == 0, linked.stdout + linked.stderr
    assert cruft(tmp_path / "my_site", "check").returncode == 0


def test_a_newer_template_reaches_the_site_and_leaves_its_env_alone(
    template: Path, site: Path, git_repository: Callable[..., None]
) -> None:
    env = (site / ".env").read_text()
    (template / SITE.name / "oidc" / "newer.py").write_text('"""Something newer."""\n')
    git_repository(template, "second")
    update(site)
    assert (site / "oidc" / "newer.py").exists()
    assert (site / ".env").read_text() == env
    assert 'SITE_NAME = "The {{ curly }} Site"' in (site / "config" / "settings.py").read_text()


def test_a_migration_of_the_relying_party_reaches_a_site_that_its_team_has_made_its_own(
    template: Path, site: Path, git_repository: Callable[..., None], require: Callable[[object, str], None]
) -> None:
    python = pythons.at_least((3, 11))
    require(python, "no Python 3.11 or newer")
    own = Site(site, str(python))
    own.run("uv", "sync", "--quiet", "--compile-bytecode")
    for change in (team.follow_the_suggestion, team.replace_the_pages, team.add_a_field, team.change_the_settings):
        change(site)
    own.run("uv", "run", "manage.py", "makemigrations", "accounts")
    own.run("uv", "run", "manage.py", "migrate")
    git_repository(site, "our site")
    owned = ("accounts/backends.py", "accounts/models.py", "pages/views.py")
    before = {path: (site / path).read_bytes() for path in owned}

    newer = template / SITE.name / "oidc"
    last = max(path.stem for path in (newer / "migrations").glob("0*.py"))
    (newer / "migrations" / "0999_newer.py").write_text(NEWER_MIGRATION.format(last=last))
    with (newer / "models.py").open("a", encoding="utf-8") as models:
        models.write(NEWER_MODEL)
    version = newer / "__init__.py"
    version.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.0"', version.read_text()))
    for page in (template / SITE.name / "templates").glob("*.html*"):
        page.write_text("A page of a newer template")
    git_repository(template, "second")

    update(site)
    assert "class Newer" in (site / "oidc" / "models.py").read_text()
    assert '__version__ = "99.0"' in (site / "oidc" / "__init__.py").read_text()
    assert {path: (site / path).read_bytes() for path in before} == before
    assert "Our own page" in (site / "templates" / "home.html").read_text()
    assert "Europe/Vienna" in (site / "config" / "settings.py").read_text()
    own.run("uv", "run", "manage.py", "makemigrations", "--check")
    own.run("uv", "run", "manage.py", "migrate")
    assert "[X] 0999_newer" in own.run("uv", "run", "manage.py", "showmigrations", "oidc")


def test_answers_are_checked_at_an_update_too(template: Path, tmp_path: Path) -> None:
    answers = json.dumps({"session_renewal_seconds": "often"})
    refused = cruft(tmp_path, "create", str(template), "--no-input", "--extra-context", answers)
    assert refused.returncode == 1
    assert "session_renewal_seconds: 'often' is not 0" in refused.stdout + refused.stderr
    assert not (tmp_path / "my_site").exists()
