"""What runs on GitHub, here and in a rendered site: pinned, with the least rights, and from one list of packages."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rendering import REPOSITORY, render

PINNED = re.compile(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


@pytest.fixture(params=["template", "site"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return (REPOSITORY if request.param == "template" else render(tmp_path)) / ".github"


@pytest.fixture
def workflows(folder: Path) -> list[dict[str, Any]]:
    found = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (folder / "workflows").iterdir()]
    assert found
    return found


def test_actions_are_pinned_to_a_commit_and_say_its_version(folder: Path) -> None:
    for path in (folder / "workflows").iterdir():
        used = [line.strip(" -") for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
        assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_jobs_may_read_and_nothing_else(workflows: list[dict[str, Any]]) -> None:
    for workflow in workflows:
        assert workflow["permissions"] == {"contents": "read"}
        assert [name for name, job in workflow["jobs"].items() if "permissions" in job] == []


def test_jobs_have_a_time_limit_and_leave_no_credentials_behind(workflows: list[dict[str, Any]]) -> None:
    for job in (job for workflow in workflows for job in workflow["jobs"].values()):
        assert job["timeout-minutes"] <= 60
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


def test_dependabot_looks_after_the_actions(folder: Path) -> None:
    updates = yaml.safe_load((folder / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert "github-actions" in {update["package-ecosystem"] for update in updates}


def test_system_packages_are_listed_once() -> None:
    packages = re.sub(r"#.*", "", (REPOSITORY / ".ci" / "packages.txt").read_text()).split()
    assert len(packages) >= 5
    for path in (".ci/run", ".github/workflows/test.yml", "CONTRIBUTING.md"):
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        assert ".ci/packages.txt" in text
        assert not [package for package in ("postgresql", "redis-server", "nginx") if package in text], path


def test_no_lock_file_and_no_package_registry_is_part_of_the_repository() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    assert {"uv.lock", "package-lock.json"} <= set(ignored)
