"""Metrics, as Prometheus' own parser reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from server.client import Client
from server.process import PATIENCE

if TYPE_CHECKING:
    from prometheus_client import Metric

    from server.client import Response

Numbers = dict[str, float]


def scrape(place: str, path: str = "/metrics") -> Numbers:
    """All samples at ``place``."""
    return numbers_of(page(place, path))


def page(place: str, path: str = "/metrics") -> Response:
    """The page at ``place``."""
    with Client(place, PATIENCE) as client:
        return client.get(path)


def families_of(response: Response) -> list[Metric]:
    """The families of a page."""
    assert response.status == 200, response
    assert response.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert response.header("Cache-Control") == "no-store"
    return list(text_string_to_metric_families(response.body.decode()))


def numbers_of(response: Response) -> Numbers:
    """All samples of a page: their names without the prefix, with their labels."""
    numbers: Numbers = {}
    for family in families_of(response):
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = sample.name.removeprefix("onionskin_") + (f"{{{labels}}}" if labels else "")
            assert name not in numbers, f"{name} is told twice"
            numbers[name] = sample.value
    return numbers


def counters(numbers: Numbers) -> Numbers:
    """Those that may never go back."""
    ends = ("_total", "_bucket", "_count", "_sum")
    return {name: value for name, value in numbers.items() if name.partition("{")[0].endswith(ends)}
