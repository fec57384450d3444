"""Measures a rendered site with a thousand and with a million stored users and sessions, and reckons with the result.

    python -m benchmarks.scale            prints tables
    python -m benchmarks.scale --write    writes them into docs/scale.md

PostgreSQL with Redis, and SQLite. It takes ten minutes, and two gigabytes in the folder for temporary files.
"""

import argparse
import json
import os
import re
import secrets
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.serving import end_as_by_ctrl_c, installed_site, say, table
from tests.rendering import REPOSITORY
from tests.sites import services
from tests.sites.site import Site

DOCUMENT = REPOSITORY / "docs" / "scale.md"
MARKS = "<!-- made by python -m benchmarks.scale --write -->", "<!-- end -->"
# What the reckoning assumes; all else is measured or counted.
REPLICAS, PROCESSES, THREADS, CORES = 100, 2, 16, 1
LOGINS_A_SECOND = 10_000 / 60
PAGES_PER_LOGIN = 50
OP_SECONDS = 0.1
POOL = 16
DEFAULT_CONNECTIONS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--numbers", type=int, nargs=2, default=[1_000, 1_000_000], metavar="N", help="(%(default)s)")
    parser.add_argument("--write", action="store_true", help="write docs/scale.md")
    options = parser.parse_args()
    end_as_by_ctrl_c()
    with tempfile.TemporaryDirectory() as folder:
        site = installed_site(Path(folder))
        results = {
            database: [measure(site, database, number, Path(folder)) for number in options.numbers]
            for database in ("postgresql", "sqlite")
        }
    numbers = [f"{number:,}" for number in options.numbers]
    text = "\n\n".join(
        [
            *(part for database in results for part in beside(database, numbers, *results[database])),
            *reckoning(results["postgresql"][0]),
        ]
    )
    if options.write:
        document, (begin, end) = DOCUMENT.read_text(encoding="utf-8"), map(re.escape, MARKS)
        made = f"{MARKS[0]}\n\n{text}\n\n{MARKS[1]}"
        DOCUMENT.write_text(re.sub(f"{begin}.*{end}", lambda _: made, document, flags=re.DOTALL), encoding="utf-8")
    print(text)


def measure(site: Site, database: str, number: int, folder: Path) -> dict[str, Any]:
    """Return what `benchmarks.stored` finds with so many users and sessions."""
    environment = {
        "DEBUG": "false",
        "SITE_URL": "http://localhost",
        "SECRET_KEY": secrets.token_hex(32),
        "OIDC_OP_ISSUER": "http://localhost:1",
        "OIDC_RP_CLIENT_ID": "replaced",
        "OIDC_RP_CLIENT_SECRET": "replaced",
        "LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with ExitStack() as stack:
        rate = 0.0
        if database == "postgresql":
            environment["DATABASE_URL"] = stack.enter_context(services.postgresql())
            environment["CACHE_URL"] = stack.enter_context(services.redis())
            rate = redis_rate(environment["CACHE_URL"])
        else:
            environment["DATABASE_URL"] = f"sqlite:///{folder}/{number}.sqlite3"
        for command in (["migrate", "-v0"], ["collectstatic", "--no-input", "-v0"]):
            site.run("uv", "run", "--no-dev", "manage.py", *command, **environment)
        say(f"{database}: storing {number}")
        stored = ("uv", "run", "--no-dev", "python", "-m", "benchmarks.stored")
        site.run(*stored, "fill", str(number), **environment)
        say(f"{database}: measuring with {number}")
        result: dict[str, Any] = json.loads(site.run(*stored, "measure", str(number), **environment).splitlines()[-1])
        say(json.dumps(result))
    (folder / f"{number}.sqlite3").unlink(missing_ok=True)
    return result | {"redis": rate}


def redis_rate(url: str) -> float:
    """Return how many reads a second Redis does here for 50 clients."""
    port = re.findall(r":(\d+)/", url)[0]
    command = ["redis-benchmark", "-p", port, "-t", "get", "-n", "50000", "--csv"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return float(lines[-1].split('","')[1].strip('"'))


def beside(database: str, numbers: list[str], few: dict[str, Any], many: dict[str, Any]) -> list[str]:
    """Return the tables of one database."""
    names = [name for name, value in few.items() if isinstance(value, dict) and "seconds" in value]
    rows = [
        [name, *(milliseconds(of[name][what]) for what in ("seconds", "database") for of in (few, many)),
         f"{many[name]['seconds'] / few[name]['seconds']:.2f}"]
        for name in names
    ]  # fmt: skip
    cleaning = [few["clean-up"]["of a thousand"], many["clean-up"]["of a thousand"], many["clean-up"].get("of a tenth")]
    growth = f"{cleaning[1]['seconds'] / cleaning[0]['seconds']:.2f}"
    titles = [f"1,000 ended, {numbers[0]} go on", f"1,000 ended, {numbers[1]} go on", "a tenth of them ended"]
    cleaned = [
        [title, f"{of['ended']:,.0f}", f"{of['seconds']:.2f} s", milliseconds(of["longest batch"]),
         milliseconds(of["longest wait"])]
        for title, of in zip(titles, cleaning, strict=True) if of
    ]  # fmt: skip
    cleaned[1][2] += f" ({growth} times)"
    name = {"postgresql": "PostgreSQL and Redis", "sqlite": "SQLite and memory"}[database]
    wall, queries = (f"{what}, ms: {numbers[0]}" for what in ("all", "in the database"))
    return [
        f"### {name}",
        table(["", wall, numbers[1], queries, numbers[1], "growth"], rows),
        table(["clean-up", "deleted", "takes", "longest batch, ms", "longest wait of a writer, ms"], cleaned),
    ]


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"


def reckoning(measured: dict[str, Any]) -> list[str]:
    """Return what ten thousand logins a minute come to."""
    login, page = measured["login of a known person"], measured["page"]
    pages = LOGINS_A_SECOND * PAGES_PER_LOGIN
    asked = sum(measured["requests to the OP"].values())

    def both(name: str) -> float:
        return LOGINS_A_SECOND * float(login[name]) + pages * float(page[name])

    counted = [
        [name, *(f"{of[what]:.0f}" for what in ("queries", "writes", "cache")), str(op)]
        for name, of, op in (
            ("login of a new person", measured["login of a new person"], asked),
            ("login of a known person", login, asked),
            ("page", page, 0),
            ("back-channel logout", measured["back-channel logout by sid"], 0),
        )
    ]
    processes = REPLICAS * PROCESSES
    threads = LOGINS_A_SECOND * asked * OP_SECONDS
    cores = REPLICAS * CORES
    limits = [
        ("connections that PostgreSQL allows as it comes", f"{processes} at rest, {processes * POOL:,} at most",
         DEFAULT_CONNECTIONS, processes / DEFAULT_CONNECTIONS),
        ("CPU of the site (upper bound: with the browser and the OP)", f"{both('cpu'):.0f} cores", cores,
         both("cpu") / cores),
        ("Redis, which has one thread", f"{both('cache'):,.0f} operations/s", f"{measured['redis']:,.0f} here",
         both("cache") / measured["redis"]),
        ("threads that wait for the OP", f"{threads:.0f}", processes * THREADS, threads / (processes * THREADS)),
    ]  # fmt: skip
    saturation = [
        [name, need, str(limit), f"{share:.1%}"]
        for name, need, limit, share in sorted(limits, key=lambda limit: -limit[3])
    ]
    rates = [
        ["requests to the OP", f"{LOGINS_A_SECOND * asked:,.0f}/s by the site, {LOGINS_A_SECOND:,.0f}/s by browsers"],
        ["queries", f"{both('queries'):,.0f}/s, of these {both('writes'):,.0f}/s write"],
        ["connections that are busy at once", f"{both('database'):.1f}"],
        ["cache operations", f"{both('cache'):,.0f}/s"],
    ]
    return [
        "### Counted",
        table(["", "queries", "of these write", "cache operations", "requests to the OP"], counted),
        f"### {REPLICAS} replicas, 10,000 logins a minute",
        table(["what", f"at {LOGINS_A_SECOND:.0f} logins/s and {pages:,.0f} pages/s"], rates),
        table(["what saturates", "needed", "there is", "used"], saturation),
        f"Load average at the end: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores.",
    ]


if __name__ == "__main__":
    main()
