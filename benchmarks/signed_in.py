"""Measures the home page of somebody who is logged in, beside a page of plain Django that says as much.

    python -m benchmarks.signed_in

`benchmarks/README.md` says what is measured and how.
"""

import argparse
import os
import shutil
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks import load
from benchmarks.logins import after_first_page, connection_to, cookies_of, log_in
from benchmarks.serving import (
    PROJECTS,
    SITE_NAME,
    Project,
    cpu_seconds,
    end_as_by_ctrl_c,
    one_site,
    request,
    running_project,
    say,
    spread,
    table,
)
from tests.sites.site import Site, free_port

# It shares the database of the site, and so its sessions: the first word names the file.
WITH_BARE_PAGE = f"{SITE_NAME} with the page of bare Django"
MEASURED = [
    SITE_NAME,
    WITH_BARE_PAGE,
    "its pages without the relying party",
    "bare Django",
    "bare Django, connections kept",
    "startproject, connections kept",
]
VISITORS = 8


@dataclass(frozen=True)
class Run:
    """What one project did in one run: pages a second, and CPU seconds of gunicorn for a page."""

    rate: float
    cpu: float


def main() -> None:
    options = arguments()
    end_as_by_ctrl_c()
    with ExitStack() as stack:
        folder, port, op, site = stack.enter_context(one_site())
        submit = stack.enter_context(load.process())
        sites = {WITH_BARE_PAGE: with_bare_page(site, folder)}
        ports = {SITE_NAME: port}
        projects = {
            name: stack.enter_context(
                running_project(
                    name, ports.get(name) or free_port(), sites.get(name, site), folder, op, *options.gunicorn
                )
            )
            for name in MEASURED
        }
        cookies = {name: cookie_of(project) for name, project in projects.items() if name != WITH_BARE_PAGE}
        cookies[WITH_BARE_PAGE] = cookies[SITE_NAME]
        runs: dict[str, list[Run]] = {name: [] for name in MEASURED}

        def run(name: str, seconds: float) -> Run:
            project, began = projects[name], cpu_seconds(projects[name].group)
            pages = submit(load.visit_home, project.port, VISITORS, seconds, cookies[name]).result().came
            used = cpu_seconds(project.group) - began
            return Run((len(pages) - 1) / (pages[-1] - pages[0]), used / len(pages))

        for name in MEASURED:
            run(name, 2)
        for number in range(options.runs):
            say(f"run {number + 1} of {options.runs}")
            # In turn, so that whatever else the machine does meets all, and first in turn too.
            for name in MEASURED if number % 2 else reversed(MEASURED):
                runs[name].append(run(name, options.seconds))
    print(f"{VISITORS} visitors, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end\n")
    head = ["", "pages/s", "CPU ms/page", "site beside it: rate", "CPU", "site with that page: rate", "CPU"]
    print(table(head, [row(name, runs) for name in MEASURED]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure a signed-in page; prints min, median and max.")
    parser.add_argument("--runs", type=int, default=10, help="measurements of each project (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="length of each (%(default)s)")
    parser.add_argument("gunicorn", nargs="*", help="further arguments for gunicorn, after --")
    return parser.parse_args()


def cookie_of(project: Project) -> str:
    """Log somebody in and return the header Cookie, with the CSRF cookie that a browser has after the first page."""
    if project.name == SITE_NAME:
        cookie = log_in(project.port, connection_to(project.op))
    else:
        connection = HTTPConnection("127.0.0.1", project.port, timeout=60)
        cookie = cookies_of(request(connection, "GET", "/log-in/").headers.get_all("Set-Cookie"))
    assert cookie, f"nobody could log in to {project.name}"
    return after_first_page(project.port, cookie)


def with_bare_page(site: Site, folder: Path) -> Site:
    """Return a copy of the site whose pages are those of bare Django, as those of a team could be."""
    copy = folder / "with_bare_page"
    shutil.copytree(site.folder, copy, ignore=shutil.ignore_patterns(".venv"))
    (copy / ".venv").symlink_to(site.folder / ".venv")
    shutil.copytree(PROJECTS / "plain" / "templates", copy / "templates", dirs_exist_ok=True)
    return Site(copy, sys.executable)


def row(name: str, runs: dict[str, list[Run]]) -> list[str]:
    """Return the cells of a project; its pairs with the site are those of the same round."""
    cells = [name, spread([run.rate for run in runs[name]]), spread([1000 * run.cpu for run in runs[name]])]
    for one in (SITE_NAME, WITH_BARE_PAGE):
        pairs = list(zip(runs[one], runs[name], strict=True))
        cells.append(f"{statistics.median(ours.rate / other.rate for ours, other in pairs):.2f}")
        cells.append(f"{statistics.median(ours.cpu / other.cpu for ours, other in pairs):.2f}")
    return cells


if __name__ == "__main__":
    main()
