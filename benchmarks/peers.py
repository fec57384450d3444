"""Measures logins, a signed-in page, memory, start and an outage of the rendered site and its peers, side by side.

    make bench                              # or python -m benchmarks.peers: 20 minutes; writes docs/benchmark.*
    python -m benchmarks.peers --quick      # two minutes, prints the tables only

`benchmarks/README.md` says what is measured and how.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import load, report
from benchmarks.logins import Run, after_first_page, connection_to, log_in, measure
from benchmarks.serving import (
    PACKAGES_OF_PEERS,
    PEERS,
    SITE_NAME,
    Project,
    cpu_seconds,
    end_as_by_ctrl_c,
    installed_site,
    memory_of_workers,
    running_ops,
    running_project,
    say,
)
from tests.rendering import REPOSITORY
from tests.sites.site import Site, free_port

NAMES = [SITE_NAME, *PEERS]
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL and Redis"}
PACKAGES = ["django", "mozilla-django-oidc", "django-allauth", "social-auth-app-django", "authlib", "gunicorn"]
VISITORS = 8
# In seconds: pages before an outage, and how often people try again in it.
BEFORE, PAUSE = 3.0, 5.0


@dataclass
class Figures:
    """What one project did: a value for each round, and at last an outage."""

    logins: list[Run] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    pages: list[float] = field(default_factory=list)
    page_cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    kept: float = 0.0
    longest_wait: float = 0.0


def main() -> None:
    options = arguments()
    end_as_by_ctrl_c()
    found: dict[str, dict[str, Figures]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = {name: free_port() for name in options.projects}
        ops = stack.enter_context(running_ops(folder, options.delay / 1000, list(ports.values())))
        site = installed_site(folder, *PACKAGES_OF_PEERS)
        submit = stack.enter_context(load.process())

        @contextmanager
        def served(name: str, database: str) -> Iterator[Project]:
            op = ops[options.projects.index(name)]
            with running_project(name, ports[name], site, folder, op, database=database) as project:
                yield project

        for database in options.databases:
            say(DATABASES[database])
            found[DATABASES[database]] = compare(served, database, submit, options)
        versions = versions_of(site)
    conditions = report.Conditions(
        options.browsers,
        options.delay,
        options.rounds,
        options.seconds,
        options.people,
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    )
    text = report.document(conditions, found)
    if options.quick:
        print(text)
        return
    picture = report.plot(found)
    (REPOSITORY / "docs" / "benchmark.md").write_text(text)
    (REPOSITORY / "docs" / "benchmark.svg").write_text(picture)
    say("docs/benchmark.md and docs/benchmark.svg are written")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the rendered site beside its peers.")
    parser.add_argument("--quick", action="store_true", help="one short round, printed and not written")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each project (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4, help="length of each (%(default)s)")
    parser.add_argument("--browsers", type=int, default=8, help="logins under way at once (%(default)s)")
    parser.add_argument("--people", type=int, default=50, help="who come back while the OP hangs (%(default)s)")
    parser.add_argument("--projects", nargs="+", choices=NAMES, default=NAMES, help="(all)")
    parser.add_argument("--delay", type=float, default=20, help="how long the OP takes to respond, in ms (%(default)s)")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES), help="(all)")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 2.0
    return options


def compare(
    served: Callable[..., Iterator[Project]], database: str, submit: Callable[..., object], options: argparse.Namespace
) -> dict[str, Figures]:
    """Measure all projects with one kind of database."""
    figures = {name: Figures() for name in options.projects}
    for name in [] if options.quick else 2 * options.projects:
        say(f"{name} starts")
        with served(name, database) as project:
            figures[name].starts.append(project.start_seconds)
    with ExitStack() as stack:
        projects = [stack.enter_context(served(name, database)) for name in options.projects]
        cookies: dict[str, str] = {}
        for project in projects:
            figures[project.name].starts.append(project.start_seconds)
            measure(project, options.browsers, 2)
            cookies[project.name] = after_first_page(project.port, log_in(project.port, connection_to(project.op)))
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}")
            # In turn, so that whatever else the machine does meets all, and first in turn too.
            for project in projects if number % 2 else reversed(projects):
                one_round(project, figures[project.name], cookies[project.name], submit, options)
        for project in projects:
            figures[project.name].memory = memory_of_workers(project.group)
        # Two at once, so that both processes of visitors run from here on.
        for visits in [submit(load.visit_home, projects[0].port, 1, 3.0) for _ in range(2)]:
            visits.result()
        for project in projects:
            say(f"the OP of {project.name} hangs")
            outage(project, figures[project.name], submit, options)
    return figures


def one_round(project: Project, figures: Figures, cookie: str, submit: Callable, options: argparse.Namespace) -> None:
    figures.logins.append(measure(project, options.browsers, options.seconds))
    figures.alone += measure(project, 1, options.seconds / 3).waits
    began = cpu_seconds(project.group)
    came = submit(load.visit_home, project.port, VISITORS, options.seconds / 2, cookie).result().came
    figures.page_cpu.append((cpu_seconds(project.group) - began) / len(came))
    figures.pages.append((len(came) - 1) / (came[-1] - came[0]))


def outage(project: Project, figures: Figures, submit: Callable, options: argparse.Namespace) -> None:
    """Let the OP hang when people come back from it, and see what becomes of the home page."""
    hangs = 4 * options.seconds
    people = submit(load.leave, project.port, options.people).result()
    visits = submit(load.visit_home, project.port, VISITORS, 1 + BEFORE + hangs)
    time.sleep(1)  # until the process runs
    began = time.monotonic()
    time.sleep(BEFORE)
    project.op.be(hanging="*")
    hung = time.monotonic()
    logins = submit(load.try_to_log_in, project.port, project.op.issuer, people, hangs, PAUSE)
    result = visits.result()
    rate_before = (bisect(result.came, hung) - bisect(result.came, began)) / (hung - began)
    rate_then = (len(result.came) - bisect(result.came, hung)) / hangs
    figures.kept, figures.longest_wait = rate_then / rate_before, result.longest_wait
    logins.result()
    project.op.be(latency=options.delay / 1000)


def versions_of(site: Site) -> dict[str, str]:
    code = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    result: dict[str, str] = json.loads(site.run(str(site.folder / ".venv/bin/python"), "-c", code, *PACKAGES))
    return result


if __name__ == "__main__":
    main()
