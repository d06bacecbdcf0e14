"""Noise: what else ran on the two cores while a server was measured."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from harness.places import LOAD_CORE, SERVER_CORE
from harness.process import TICKS

FOREIGN_LIMIT, STEAL_LIMIT = 8.0, 3.0


@dataclass(frozen=True)
class Core:
    """Seconds that a core was busy, and that the hypervisor gave it to others."""

    busy: float
    stolen: float


def cores() -> dict[int, Core]:
    found = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _wait, interrupts, softirqs, stolen = (int(tick) for tick in ticks[:8])
            busy = user + nice + system + interrupts + softirqs
            found[int(name[3:])] = Core(busy / TICKS, stolen / TICKS)
    return found


def foreign(before: dict[int, Core], after: dict[int, Core], core: int, own: float, wall: float) -> float:
    """Percent of the time in which the core worked for somebody else; `own` is our seconds on it."""
    return max(0.0, (after[core].busy - before[core].busy - own) / wall * 100)


def foreign_anywhere(before: dict[int, Core], after: dict[int, Core], own: float, wall: float) -> float:
    """The same of all cores together; `own` is our seconds on them."""
    busy = sum(after[core].busy - before[core].busy for core in after)
    return max(0.0, (busy - own) / wall * 100)


def stolen(before: dict[int, Core], after: dict[int, Core], wall: float) -> float:
    return sum(after[core].stolen - before[core].stolen for core in (SERVER_CORE, LOAD_CORE)) / wall * 100


def is_noisy(figures: dict[str, float]) -> bool:
    return figures.get("foreign_percent", 0) > FOREIGN_LIMIT or figures.get("steal_percent", 0) > STEAL_LIMIT


def wait_for_quiet(patience: float) -> None:
    """Returns when both cores have been nearly idle for a moment, or when patience has run out."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = cores()
        time.sleep(0.4)
        after = cores()
        spent = [
            after[core].busy - before[core].busy + after[core].stolen - before[core].stolen
            for core in (SERVER_CORE, LOAD_CORE)
        ]
        if max(spent) <= 0.04:
            return
