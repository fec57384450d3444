"""What a team may change, only the site's own few tests notice (design: three owners)."""

import re
from collections.abc import Callable

import pytest

from tests import pythons, team
from tests.rendering import render
from tests.sites.site import Site


@pytest.fixture
def site(tmp_path, require) -> Site:
    """A site of its own, to be changed."""
    python = pythons.at_least((3, 11))
    require(python, "no Python 3.11 or newer")
    site = Site(render(tmp_path), str(python))
    site.run("uv", "sync", "--quiet", "--compile-bytecode")
    return site


def failures(site: Site) -> list[str]:
    """Run the site's tests and return the files of those that fail, one for each."""
    output = site.try_to_run("uv", "run", "pytest", "-q", "-rfE", "--color=no").stdout
    assert re.search(r"\d+ passed", output), output
    return re.findall(r"^(?:FAILED|ERROR) ([\w/]+\.py)", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("change", "most", "where"),
    [
        pytest.param(team.follow_the_suggestion, 5, "tests/test_policy.py", id="policy"),
        pytest.param(team.replace_the_pages, 3, "tests/test_pages.py", id="pages"),
    ],
)
def test_an_edit_fails_few_tests_in_the_one_file_about_it(site: Site, change: Callable, most: int, where: str) -> None:
    change(site.folder)
    failed = failures(site)
    assert len(failed) <= most
    assert set(failed) <= {where}


def test_a_field_of_the_teams_own_is_one_migration_and_fails_no_test(site: Site) -> None:
    team.add_a_field(site.folder)
    site.run("uv", "run", "manage.py", "makemigrations", "accounts")
    site.run("uv", "run", "manage.py", "migrate")
    site.run("uv", "run", "manage.py", "makemigrations", "--check")
    assert failures(site) == []
