"""How measured figures are written."""

from __future__ import annotations

import math
from datetime import datetime

from kubetriage.model import Evidence
from kubetriage.readers.prometheus import Histogram
from kubetriage.rules.plane.thresholds import FEW_SAMPLES
from kubetriage.values.times import format_time, human_duration


def span(seconds: float) -> str:
    """Write a latency: ``830 us``, ``12 ms``, ``1.31 s``."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s"


def distribution(histogram: Histogram, above: float) -> str:
    """Write a histogram honestly: the true mean, and the bucket of the 99th percentile, never a point inside it.

    With few observations the percentile is one of them, so the share above a bucket bound stands there instead.
    """
    mean = histogram.mean
    if mean is None:
        return "none in the window"
    head = f"mean {span(mean)} over {histogram.count:.0f}"
    if histogram.count < FEW_SAMPLES:
        longer, bound = histogram.longer_than(above)
        return head if bound == math.inf else f"{head}, {longer:.0f} of {histogram.count:.0f} longer than {span(bound)}"
    where = histogram.quantile(0.99)
    if where is None:
        return head
    if where.high == math.inf:
        return f"{head}, p99 above {span(where.low)}"
    return f"{head}, p99 between {span(where.low)} and {span(where.high)}"


def metric(name: str, value: str, member: str = "") -> Evidence:
    """Quote a metric."""
    return Evidence("metric", f"{name}{{{member}}}" if member else name, value)


def ago(moment: datetime, now: datetime) -> str:
    """Write a time with its age: ``2026-11-23T23:19:32Z (4m28s ago)``."""
    return f"{format_time(moment)} ({human_duration(now - moment)} ago)"


def count(number: float, singular: str, plural: str = "") -> str:
    """Write a number with its noun."""
    return f"{number:.0f} {singular if number == 1 else plural or singular + 's'}"


def names(items: list[str] | tuple[str, ...], most: int = 3) -> str:
    """Write names, the first few of many."""
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
