"""What `benchmarks.peers` has found, as a document with tables and as a plot."""

import statistics
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.serving import PEERS, SITE_NAME, spread, table

if TYPE_CHECKING:
    from benchmarks.peers import Figures

    Found = Mapping[str, Mapping[str, Figures]]

PLAIN, FLOOR = next(iter(PEERS)), list(PEERS)[-1]
# A token and userinfo: no login of a person whose claims are in userinfo has fewer requests to the OP.
ROUND_TRIPS = 2


@dataclass(frozen=True)
class Conditions:
    """How it was measured."""

    browsers: int
    delay: float
    rounds: int
    seconds: float
    people: int
    machine: str
    versions: str


@dataclass(frozen=True)
class Bar:
    """How good is good: the ratio of the rendered site to `other`, a value for each round."""

    what: str
    other: str
    values: Callable[["Figures"], list[float]]
    wanted: Mapping[str, float]  # by database, "" for any other
    more_is_better: bool = True


def logins_per_second(figures: "Figures") -> list[float]:
    return [len(run.waits) / run.seconds for run in figures.logins]


def cpu_per_login(figures: "Figures") -> list[float]:
    return [1000 * run.cpu_seconds / max(1, len(run.waits)) for run in figures.logins]


def waits(figures: "Figures") -> list[float]:
    return sorted(1000 * wait for run in figures.logins for wait in run.waits)


BARS = [
    Bar("logins per second", PLAIN, logins_per_second, {"": 4.5, "PostgreSQL and Redis": 4.0}),
    Bar("CPU per login", PLAIN, cpu_per_login, {"": 0.20}, more_is_better=False),
    Bar("CPU per login", FLOOR, cpu_per_login, {"": 1.35}, more_is_better=False),
]


def document(conditions: Conditions, found: "Found") -> str:
    """Return the document, docs/benchmark.md."""
    floor = ROUND_TRIPS * conditions.delay + (signature := milliseconds_of_a_signature())
    parts = [
        "# A site beside its peers\n",
        "Written by `make bench`; [benchmarks/README.md](../benchmarks/README.md) says what the projects are, how they "
        "are measured and what stands between them and the floor.\n",
        "![Logins per second and CPU per login](benchmark.svg)\n",
        f"An OP that takes {conditions.delay:g} ms to respond, {conditions.browsers} browsers; medians of "
        f"{conditions.rounds} rounds of {conditions.seconds:g} s, with minimum and maximum. {conditions.machine}. "
        f"{conditions.versions}.\n",
    ]
    for database, figures in found.items():
        parts += [f"## {database}\n", logins_table(figures, floor), "", rest_table(figures, conditions), ""]
        parts += ["The rendered site beside others, round by round (minimum / median / maximum):\n"]
        parts += [ratio_table(figures), "", bars(database, figures), ""]
    parts += [
        f"No login is faster than {floor:.1f} ms: {ROUND_TRIPS} round trips to the OP and a signature "
        f'({signature:.2f} ms). "Above the floor" is what a login takes longer than that if nobody else logs in.'
    ]
    return "\n".join(parts) + "\n"


def logins_table(figures: Mapping[str, "Figures"], floor: float) -> str:
    head = ["", "logins/s", "CPU ms / login", "median, ms", "p95, ms", "alone, ms", "above the floor, ms"]
    head += ["OP requests", "new connections", "failed"]
    rows = []
    for name, of in figures.items():
        under_load, alone = waits(of), 1000 * statistics.median(of.alone)
        count = max(1, len(under_load))
        rows.append(
            [
                name,
                spread(logins_per_second(of)),
                spread(cpu_per_login(of)),
                f"{statistics.median(under_load):.0f}",
                f"{under_load[int(0.95 * count)]:.0f}",
                f"{alone:.1f}",
                f"{alone - floor:.1f}",
                f"{sum(run.op_requests for run in of.logins) / count:.2f}",
                f"{sum(run.op_connections for run in of.logins) / count:.2f}",
                f"{sum(run.failed for run in of.logins)}",
            ]
        )
    return table(head, rows)


def rest_table(figures: Mapping[str, "Figures"], conditions: Conditions) -> str:
    head = ["", "signed-in pages/s", "CPU ms / page", "MiB / worker", "start, s"]
    head += [f"home page kept while the OP hangs and {conditions.people} people come back", "longest wait for it, s"]
    rows = [
        [
            name,
            spread(of.pages),
            spread([1000 * seconds for seconds in of.page_cpu]),
            f"{statistics.mean(of.memory):.0f}",
            spread(of.starts),
            f"{of.kept:.0%}",
            f"{of.longest_wait:.1f}",
        ]
        for name, of in figures.items()
    ]
    return table(head, rows)


def ratios(site: list[float], other: list[float]) -> list[float]:
    """Return the ratios of the same rounds."""
    return [mine / yours for mine, yours in zip(site, other, strict=True)]


def ratio_table(figures: Mapping[str, "Figures"]) -> str:
    site = figures[SITE_NAME]
    rows = [
        [
            name,
            spread(ratios(logins_per_second(site), logins_per_second(of))),
            spread(ratios(cpu_per_login(site), cpu_per_login(of))),
            spread(ratios(site.pages, of.pages)),
        ]
        for name, of in figures.items()
        if name != SITE_NAME
    ]
    return table(["beside", "logins/s", "CPU per login", "signed-in pages/s"], rows)


def bars(database: str, figures: Mapping[str, "Figures"]) -> str:
    rows = []
    for bar in (bar for bar in BARS if bar.other in figures):
        wanted = bar.wanted.get(database, bar.wanted[""])
        ratio = statistics.median(ratios(bar.values(figures[SITE_NAME]), bar.values(figures[bar.other])))
        is_met = ratio >= wanted if bar.more_is_better else ratio <= wanted
        sign = "at least" if bar.more_is_better else "at most"
        rows.append(
            [f"{bar.what} beside {bar.other}", f"{sign} {wanted:g}", f"{ratio:.2f}", "met" if is_met else "missed"]
        )
    return table(["aim", "wanted", "measured", ""], rows)


def milliseconds_of_a_signature() -> float:
    """Return how long it takes to verify one (RS256)."""
    key = rsa.generate_private_key(65537, 2048)
    algorithm, message = jwt.get_algorithm_by_name("RS256"), b"x" * 800
    signature, public = algorithm.sign(message, key), key.public_key()
    timer = timeit.Timer(lambda: algorithm.verify(message, public, signature))
    return 1000 * min(timer.repeat(5, 100)) / 100


# Of the plot, in pixels; colours of a palette that colour-blind people can tell apart.
WIDTH, NAMES, ROW, BAR_HEIGHT = 900, 220, 24, 16
PANEL = (WIDTH - NAMES) // 2 - 70
COLOURS = {SITE_NAME: "#0072b2", FLOOR: "#999999"}
OTHER_COLOUR = "#e69f00"
STYLE = "<style>text{font:13px sans-serif;fill:#222}.bold{font-weight:bold}</style>"
STYLE += '<rect width="100%" height="100%" fill="#fff"/>'


def plot(found: "Found") -> str:
    """Return an SVG: for each database a bar for each project, the median, with a line from minimum to maximum."""
    panels = {
        "logins per second (more is better)": logins_per_second,
        "CPU ms per login (less is better)": cpu_per_login,
    }
    parts, y = [], 20
    for database, figures in found.items():
        parts.append(text(10, y, database, "bold"))
        for number, (title, values) in enumerate(panels.items()):
            left = NAMES + number * (PANEL + 70)
            parts.append(text(left, y, title))
            most = max(max(values(of)) for of in figures.values())
            for row, (name, of) in enumerate(figures.items()):
                top = y + 10 + row * ROW
                if number == 0:
                    parts.append(text(10, top + 13, name))
                parts.append(bar_of(left, top, PANEL / most, values(of), COLOURS.get(name, OTHER_COLOUR)))
        y += 10 + len(figures) * ROW + 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img">'
    return head + "".join(parts) + "</svg>\n"


def text(x: float, y: float, content: str, kind: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escape(content)}</text>'


def bar_of(left: float, top: float, scale: float, values: list[float], colour: str) -> str:
    low, median, high = (scale * value for value in (min(values), statistics.median(values), max(values)))
    middle = top + BAR_HEIGHT / 2
    return (
        f'<rect x="{left}" y="{top}" width="{median:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>'
        f'<path d="M{left + low:.1f} {middle}H{left + high:.1f}" stroke="#222" stroke-width="1.5"/>'
        + text(left + high + 5, top + 13, f"{statistics.median(values):.3g}")
    )
