"""The goals: what is promised, what we want for ourselves, and whether it was reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.summary import CaseResult

Results = dict[str, CaseResult]
Figure = Callable[[CaseResult], "float | None"]
OURS, OURS64, OURS_TLS = "onionskin", "onionskin-t64", "onionskin-tls"


@dataclass(frozen=True)
class Goal:
    """A bound that is promised, and the harder aim; either may be absent."""

    title: str
    case: str
    figure: Figure
    bound: float | None = None
    aim: float | None = None
    unit: str = ""
    at_most: bool = True

    def met(self, measured: float, limit: float) -> bool:
        return measured <= limit if self.at_most else measured >= limit


def best_c_server(result: CaseResult) -> float | None:
    return result.ratio(OURS, result.best_c_server())


def ratio(ours: str, rival: str, figure: str = "cpu_us") -> Figure:
    return lambda result: result.ratio(ours, rival, figure)


def figure(server: str, name: str) -> Figure:
    return lambda result: result.figure(server, name)


def above(ours: str, bare: str, name: str = "cpu_us") -> Figure:
    """How much more a request costs than without what is measured."""
    return lambda result: result.difference(ours, bare, name)


def added(ours: str, rival: str, bare: str) -> Figure:
    """What ours adds to the bare application, as a share of what the rival adds."""

    def share(result: CaseResult) -> float | None:
        own, other = result.difference(ours, bare, "cpu_us"), result.difference(rival, bare, "cpu_us")
        return own / other if own is not None and other else None

    return share


GOALS = (
    Goal("hello: CPU to the best C server", "hello", best_c_server, 1.0, 0.9, "×"),
    Goal("hello: CPU to granian", "hello", ratio(OURS, "granian"), 0.7, 0.6, "×"),
    Goal("hello: CPU to the floor", "hello", ratio(OURS, "floor-c"), aim=1.25, unit="×"),
    Goal(
        "hello with browser headers: CPU to fastpysgi",
        "hello_headers",
        ratio(OURS, "fastpysgi"),
        aim=1.0,
        unit="×",
    ),
    Goal(
        "five layers of ours around hello", "layers5_native", above(OURS, "onionskin+none"), 1.5, 1.0, " µs"
    ),
    Goal("Mount of 3 routes", "mount", above(OURS, "onionskin+none"), 0.5, unit=" µs"),
    Goal("Mount of 3,000 routes", "mount", above("onionskin+many", "onionskin+none"), 0.5, unit=" µs"),
    Goal("Proxy: CPU to nginx's proxy_pass", "proxy", ratio(OURS, "nginx"), 1.2, 1.0, "×"),
    Goal("403 of AllowAddresses: CPU to nginx", "deny", ratio(OURS, "nginx"), 1.0, 0.85, "×"),
    Goal(
        "a session in a cookie: CPU to Flask's session",
        "session",
        added(OURS, "onionskin+flask", "onionskin+none"),
        aim=0.2,
        unit="×",
    ),
    Goal("a file of 10 KB: CPU to nginx", "static10k", ratio(OURS, "nginx"), 1.1, 1.0, "×"),
    Goal("a file of 1 MB: CPU to nginx", "static1m", ratio(OURS, "nginx"), 1.1, 1.0, "×"),
    Goal("64 threads: CPU to one thread", "threads64", ratio(OURS64, OURS), 1.2, 1.1, "×"),
    Goal("64 threads: p99 to one thread", "threads64", ratio(OURS64, OURS, "p99_ms"), 1.2, 1.1, "×"),
    Goal(
        "slow application: requests/s",
        "slow10",
        figure(OURS64, "requests_per_second"),
        6_000,
        6_080,
        at_most=False,
    ),
    Goal("slow application: p99", "slow10", figure(OURS64, "p99_ms"), 15, unit=" ms"),
    Goal(
        "two workers: requests/s to granian",
        "workers2",
        ratio("onionskin-w2", "granian-w2", "requests_per_second"),
        1.0,
        1.2,
        "×",
        at_most=False,
    ),
    Goal("HTTP/2: CPU to granian", "http2", ratio(OURS, "granian-h2"), 1.0, 0.8, "×"),
    Goal("HTTP/2 over TLS: CPU to granian", "http2_tls", ratio(OURS_TLS, "granian-h2-tls"), 1.0, 0.8, "×"),
    Goal("TLS, keep-alive: CPU to granian", "tls", ratio(OURS_TLS, "granian-tls"), 0.8, 0.7, "×"),
    Goal("TLS handshake: CPU to nginx", "tls_handshake", ratio(OURS_TLS, "nginx-tls"), 1.0, 0.8, "×"),
    Goal("TLS handshake: CPU to granian", "tls_handshake", ratio(OURS_TLS, "granian-tls"), 1.2, 1.0, "×"),
    Goal(
        "TLS handshake, resumed: CPU to nginx", "tls_resumed", ratio(OURS_TLS, "nginx-tls"), aim=1.0, unit="×"
    ),
    Goal("stream: CPU to fastwsgi, TCP_NODELAY", "stream", ratio(OURS, "fastwsgi-nd"), 1.0, unit="×"),
    Goal("idle: memory above the interpreter", "idle", figure(OURS, "pss_above_mib"), 8, unit=" MiB"),
    Goal("idle: bytes a kept connection", "idle", figure(OURS, "bytes_a_connection"), aim=4_096, unit=" B"),
)


def verdicts(results: Results) -> list[list[str]]:
    """A row a goal: title, measured, bound, verdict, aim, verdict."""
    rows = []
    for goal in GOALS:
        measured = goal.figure(results[goal.case]) if goal.case in results else None
        sign = "≤" if goal.at_most else "≥"
        row = [goal.title, "not measured" if measured is None else number(measured) + goal.unit]
        for limit in (goal.bound, goal.aim):
            row.append("" if limit is None else f"{sign} {limit:,g}{goal.unit}")
            row.append(
                "" if limit is None or measured is None else "met" if goal.met(measured, limit) else "NOT MET"
            )
        rows.append(row)
    return rows


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
