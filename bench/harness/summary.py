"""The rounds of a case in one figure a server: medians, and ratios within the same round."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from harness.measure import Measurement
from harness.servers import C_SERVERS


@dataclass
class Summary:
    """One server over all rounds of one case."""

    server: str
    rounds: int
    problems: list[str]
    figures: dict[str, float]


class CaseResult:
    """All measurements of one case."""

    def __init__(self, name: str, measurements: list[Measurement]) -> None:
        self.name = name
        self.measurements = measurements
        servers = dict.fromkeys(measurement.server for measurement in measurements)
        self.summaries = {server: self._summary(server) for server in servers}

    def _summary(self, server: str) -> Summary:
        rows = [row for row in self.measurements if row.server == server]
        good = [row.figures for row in rows if row.figures]
        figures = {key: median(row[key] for row in good if key in row) for key in good[-1]} if good else {}
        return Summary(
            server, len(good), sorted({problem for row in rows for problem in row.problems}), figures
        )

    def ranked(self, figure: str) -> list[Summary]:
        """The servers that answered rightly, the lowest figure first."""
        right = [row for row in self.summaries.values() if not row.problems and figure in row.figures]
        return sorted(right, key=lambda row: row.figures[figure])

    def unranked(self) -> list[Summary]:
        return [row for row in self.summaries.values() if row.problems]

    def figure(self, server: str, figure: str) -> float | None:
        row = self.summaries.get(server)
        return row.figures.get(figure) if row and not row.problems else None

    def best_c_server(self) -> str | None:
        return next((row.server for row in self.ranked("cpu_us") if row.server in C_SERVERS), None)

    def ratio(self, server: str, rival: str | None, figure: str = "cpu_us") -> float | None:
        """The median of the ratios in each round, so that a drift of the machine cancels out."""
        if rival is None or self.figure(server, figure) is None or self.figure(rival, figure) is None:
            return None
        rounds = self._by_round(server, figure), self._by_round(rival, figure)
        ratios = [rounds[0][turn] / rounds[1][turn] for turn in rounds[0] if rounds[1].get(turn)]
        return median(ratios) if ratios else None

    def difference(self, server: str, bare: str, figure: str = "cpu_us") -> float | None:
        """The median of the differences in each round."""
        rounds = self._by_round(server, figure), self._by_round(bare, figure)
        differences = [rounds[0][turn] - rounds[1][turn] for turn in rounds[0] if turn in rounds[1]]
        return median(differences) if differences else None

    def _by_round(self, server: str, figure: str) -> dict[int, float]:
        rows = [row for row in self.measurements if row.server == server and figure in row.figures]
        return {row.round: row.figures[figure] for row in rows}
