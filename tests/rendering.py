"""Rendering the template, as tests need it."""

import shutil
import subprocess
import sys
from pathlib import Path

from cookiecutter.main import cookiecutter

REPOSITORY = Path(__file__).resolve().parent.parent
SITE = REPOSITORY / "{{cookiecutter.project_slug}}"


def render(folder: Path, **answers: object) -> Path:
    """Render the template into `folder` with `answers` and return the site's folder."""
    return Path(
        cookiecutter(str(REPOSITORY), no_input=True, default_config=True, output_dir=str(folder), extra_context=answers)
    )


def run_cookiecutter(folder: Path, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in `folder` as a person would, who answers with the lines `typed` or is not asked."""
    asking = [] if typed is not None else ["--no-input"]
    command = [sys.executable, "-m", "cookiecutter", str(REPOSITORY), *asking, *arguments]
    command += ["--config-file", str(config_file(folder))]
    return subprocess.run(command, input=typed, capture_output=True, text=True, cwd=folder, timeout=60)


def config_file(folder: Path) -> Path:
    """Return a configuration with which the replay file does not go into the home folder, which is not the test's."""
    config = folder / "cookiecutter.yaml"
    config.write_text(f'cookiecutters_dir: "{folder}/templates"\nreplay_dir: "{folder}/replay"\n')
    return config


def copy_template(folder: Path) -> Path:
    """Copy this template, as it stands, into `folder`, for a repository of its own; return it."""
    for part in ("cookiecutter_django_oidc_v2", "hooks", SITE.name):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "cookiecutter.json", folder)
    return folder


def files_of(site: Path) -> dict[str, bytes]:
    """Return the content of every file of a site by its path."""
    return {str(path.relative_to(site)): path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()}
