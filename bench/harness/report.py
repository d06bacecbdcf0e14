"""What is said about the results: tables for the terminal and for `results/latest.md`."""

from __future__ import annotations

from harness.cases import CASES
from harness.goals import Results, verdicts
from harness.noise import is_noisy
from harness.summary import CaseResult

GOAL_COLUMNS = ["goal", "measured", "bound", "", "our aim", ""]
Table = list[list[str]]


def case_table(result: CaseResult) -> Table:
    return load_table(result) if CASES[result.name].under_load else idle_table(result)


def load_table(result: CaseResult) -> Table:
    rival, best = CASES[result.name].rival, result.best_c_server()
    ratios = [(f"× {name}", name) for name in dict.fromkeys((best, rival)) if name in result.summaries]
    head = ["server", "CPU µs", "user", "system", *(title for title, _ in ratios)]
    table = [[*head, "requests/s", "p50 ms", "p99 ms", "RSS MiB"]]
    for row in result.ranked("cpu_us"):
        values = row.figures
        table.append(
            [
                row.server,
                *(f"{values[key]:.1f}" for key in ("cpu_us", "user_us", "system_us")),
                *(two_digits(result.ratio(row.server, name)) for _, name in ratios),
                f"{values['requests_per_second']:,.0f}",
                *(two_digits(values.get(key)) for key in ("p50_ms", "p99_ms")),
                f"{values['rss_mib']:.0f}",
            ]
        )
    return table


def idle_table(result: CaseResult) -> Table:
    table = [
        [
            "server",
            "PSS above the interpreter, MiB",
            "RSS above, MiB",
            "PSS, MiB",
            "processes",
            "bytes a connection",
        ]
    ]
    for row in result.ranked("pss_above_mib"):
        values = row.figures
        table.append(
            [
                row.server,
                *(f"{values[key]:.1f}" for key in ("pss_above_mib", "rss_above_mib", "pss_mib")),
                f"{values['processes']:.0f}",
                f"{values['bytes_a_connection']:,.0f}",
            ]
        )
    return table


def two_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def plain(table: Table) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for row in table:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *others]).rstrip())
    return "\n".join(lines)


def markdown(table: Table) -> str:
    head, *rows = table
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def notes(result: CaseResult) -> list[str]:
    """What a reader must know before quoting the table."""
    found = [f"not ranked: {row.server}: {'; '.join(row.problems)}" for row in result.unranked()]
    noisy = sum(is_noisy(row.figures) for row in result.measurements)
    if noisy:
        found.append(
            f"noise: something else ran on the cores in {noisy} of {len(result.measurements)} measurements"
        )
    return found


def case_report(result: CaseResult) -> str:
    """For the terminal."""
    parts = [f"\n{result.name}: {CASES[result.name].title}", plain(case_table(result))]
    return "\n".join([*parts, *notes(result)])


def goals_report(results: Results) -> str:
    return "\nGoals\n" + plain([GOAL_COLUMNS, *verdicts(results)])


def whole_report(results: Results, runs: dict[str, dict[str, str]], machine: dict[str, str]) -> str:
    """`results/latest.md`."""
    parts = [
        "# Benchmark results",
        METHOD,
        markdown([["machine", ""], *([key, value] for key, value in machine.items())]),
    ]
    parts += ["## Goals", markdown([GOAL_COLUMNS, *verdicts(results)])]
    for name, result in results.items():
        run = runs[name]
        parts += [
            f"## {name}: {CASES[name].title}",
            markdown(case_table(result)),
            *(f"- {note}" for note in notes(result)),
            f"{run['date']}, revision {run['revision']}: rounds {run['rounds']}, seconds {run['seconds']}.",
        ]
    return "\n\n".join(parts) + "\n"


METHOD = """\
Written by `bench/run.py`; `bench/README.md` has the method and the cases. In short: the server is pinned to
one core and `wrk -t1 -c64` with keep-alive to another; the servers take turns (A B C A B C …), each started
anew; figures are medians over the rounds, ratios are taken within a round. CPU is the user and system time a
request, of all of the server's processes. HTTP/2 is asked by h2load, handshakes in full are made by openssl,
and nothing is pinned in workers2. RSS is the peak. A server that answers wrongly is named, but not ranked."""
