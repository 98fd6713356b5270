"""Reader of the Prometheus text exposition format (version 0.0.4), and of what changed between two samples.

A control plane's ``/metrics`` has tens of thousands of lines of which a diagnosis needs a few hundred, so the
reader takes lines one at a time, looks at the beginning of each and parses labels only when somebody asks.
Damaged lines are left out; nothing here raises on odd input.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from kubetriage.records import dataclass, field
from kubetriage.values.patterns import lazy

_LABEL = lazy(r'(?<![a-zA-Z0-9_])([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_NAME = lazy(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_ESCAPE = lazy(r"\\(.)", re.DOTALL)
_LONGEST_LINE = 65536
"""A longer line is not a metric that we read; it is left out unparsed."""


def text_lines(text: str) -> Iterator[str]:
    """Yield the lines of a text without building a list of them."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    if start < len(text):
        yield text[start:]


def parse_line(line: str) -> tuple[str, str, float] | None:
    """Return name, unparsed labels and value of one line; None for comments and damaged lines.

    A timestamp and an exemplar after the value are dropped. So is NaN.
    """
    if not line or line[0] == "#" or len(line) > _LONGEST_LINE:
        return None
    brace = line.find("{")
    if brace >= 0:
        # An exemplar (OpenMetrics) stands after " # " and has braces of its own.
        end = line.rfind("}", 0, line.find(" # ", brace)) if "} " in line and " # " in line else line.rfind("}")
        if end < brace:
            return None
        name, labels, rest = line[:brace].rstrip(), line[brace + 1 : end], line[end + 1 :]
        words = rest.split(None, 1)
    else:
        words = line.split(None, 2)
        if len(words) < 2:
            return None
        name, labels, words = words[0], "", words[1:]
    if not words or not _NAME.match(name):
        return None
    value = _number(words[0])
    # NaN is how an exporter says that it has no value (the quantiles of an empty summary).
    return None if value is None or math.isnan(value) else (name, labels, value)


def parse_labels(labels: str) -> dict[str, str]:
    """Parse the text between the braces."""
    pairs = _LABEL.findall(labels)
    if "\\" not in labels:
        return dict(pairs)
    return {k: _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], v) for k, v in pairs}


@dataclass(frozen=True)
class Sample:
    """One series at one time."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Interval:
    """Where a quantile lies: above ``low`` and at most ``high``, the bounds of its bucket; never interpolated."""

    low: float
    high: float
    """Infinity for the last bucket."""


@dataclass(frozen=True)
class Histogram:
    """Observations counted in buckets, of one series or of several added up."""

    buckets: tuple[tuple[float, float], ...]
    """Upper bound and cumulative count, ascending; the last bound is infinity."""
    sum: float
    count: float

    @property
    def mean(self) -> float | None:
        """True mean of the observations; None when there are none."""
        return self.sum / self.count if self.count > 0 else None

    def quantile(self, q: float) -> Interval | None:
        """Return the bucket that holds quantile ``q`` (0..1); None without observations or buckets."""
        if self.count <= 0 or not self.buckets:
            return None
        rank = q * self.count
        low = 0.0
        for bound, cumulative in self.buckets:
            if cumulative >= rank:
                return Interval(low, bound)
            low = bound
        return Interval(low, math.inf)

    def longer_than(self, seconds: float) -> tuple[float, float]:
        """Return how many observations exceed the first bucket bound at or above ``seconds``, and that bound."""
        for bound, cumulative in self.buckets:
            if bound >= seconds and bound != math.inf:
                return max(self.count - cumulative, 0.0), bound
        return 0.0, math.inf

    def since(self, earlier: Histogram | None) -> Histogram | None:
        """Return the observations made after ``earlier``; None when a counter went backwards (a restart)."""
        if earlier is None:
            return self
        before = dict(earlier.buckets)
        count, total = self.count - earlier.count, self.sum - earlier.sum
        buckets = tuple((bound, n - before.get(bound, 0.0)) for bound, n in self.buckets)
        if count < 0 or any(n < 0 for _, n in buckets):
            return None
        return Histogram(buckets, max(total, 0.0), count)


@dataclass
class Metrics:
    """The series of one scrape."""

    _series: dict[str, list[tuple[str, float]]] = field(default_factory=dict)

    @classmethod
    def read(cls, lines: Iterable[str], keep: tuple[str, ...] = ()) -> Metrics:
        """Read lines one at a time; with ``keep`` only those that begin with one of these prefixes."""
        series: dict[str, list[tuple[str, float]]] = {}
        for line in lines:
            if keep and not line.startswith(keep):
                continue
            parsed = parse_line(line)
            # Nothing can be counted or compared with infinity.
            if parsed is not None and math.isfinite(parsed[2]):
                name, labels, value = parsed
                series.setdefault(name, []).append((labels, value))
        return cls(series)

    def __bool__(self) -> bool:
        """Tell whether there is any series."""
        return bool(self._series)

    def __contains__(self, name: str) -> bool:
        """Tell whether there is a series of this name."""
        return name in self._series

    def samples(self, name: str, /, **labels: str) -> Iterator[Sample]:
        """Yield the series of one name that have all the given labels."""
        for text, value in self._series.get(name, ()):
            parsed = parse_labels(text)
            if all(parsed.get(k) == v for k, v in labels.items()):
                yield Sample(parsed, value)

    def value(self, name: str, /, **labels: str) -> float | None:
        """Return the sum of the matching series; None when there is none."""
        values = [s.value for s in self.samples(name, **labels) if not math.isnan(s.value)]
        return sum(values) if values else None

    def by(self, name: str, label: str, /, **labels: str) -> dict[str, float]:
        """Return the sums of the matching series per value of one label (empty where a series lacks it)."""
        sums: dict[str, float] = {}
        for sample in self.samples(name, **labels):
            if not math.isnan(sample.value):
                key = sample.labels.get(label, "")
                sums[key] = sums.get(key, 0.0) + sample.value
        return sums

    def histogram(self, name: str, /, **labels: str) -> Histogram | None:
        """Return the matching histograms added up; None when there is none."""
        count = self.value(name + "_count", **labels)
        if count is None:
            return None
        cumulative: dict[float, float] = {}
        for sample in self.samples(name + "_bucket", **labels):
            bound = _number(sample.labels.get("le", ""))
            if bound is not None and not math.isnan(bound) and not math.isnan(sample.value):
                cumulative[bound] = cumulative.get(bound, 0.0) + sample.value
        return Histogram(tuple(sorted(cumulative.items())), self.value(name + "_sum", **labels) or 0.0, count)


@dataclass(frozen=True)
class Window:
    """Two scrapes of one process, or one scrape alone."""

    first: Metrics
    second: Metrics | None = None
    seconds: float = 0.0
    """Time between the two; 0 when it is not known."""

    @property
    def latest(self) -> Metrics:
        """The newer scrape."""
        return self.second if self.second is not None else self.first

    @property
    def comparable(self) -> bool:
        """Tell whether both scrapes are of the same run of the same process, so that counters may be subtracted.

        Behind a load balancer two reads may reach two API servers.
        """
        if self.second is None:
            return False
        starts = [m.value("process_start_time_seconds") for m in (self.first, self.second)]
        return None in starts or starts[0] == starts[1]

    def left_out(self, name: str) -> bool:
        """Tell whether the second scrape lacks what the first has: a recording may keep only some families of it."""
        return self.second is not None and name in self.first and name not in self.second

    def increase(self, name: str, /, **labels: str) -> float | None:
        """Return by how much a counter grew; None without two comparable scrapes.

        A series that is in neither scrape counts as zero: client libraries create labelled counters at their
        first increment.
        """
        if not self.comparable or self.second is None:
            return None
        grown = (self.second.value(name, **labels) or 0.0) - (self.first.value(name, **labels) or 0.0)
        return grown if grown >= 0 else None

    def increase_by(self, name: str, label: str, /, **labels: str) -> dict[str, float]:
        """Return the growth per value of one label, without those that did not grow."""
        if not self.comparable or self.second is None:
            return {}
        before = self.first.by(name, label, **labels)
        after = self.second.by(name, label, **labels)
        return {key: n - before.get(key, 0.0) for key, n in after.items() if n > before.get(key, 0.0)}

    def histogram(self, name: str, /, **labels: str) -> Histogram | None:
        """Return the observations made between the scrapes; None without two comparable ones."""
        if not self.comparable or self.second is None:
            return None
        after = self.second.histogram(name, **labels)
        return after.since(self.first.histogram(name, **labels)) if after else None


def _number(value: str) -> float | None:
    # Go writes +Inf, -Inf and NaN, which float() reads; it also reads digits with underscores, which Go does not write.
    if "_" in value:
        return None
    try:
        return float(value)
    except ValueError:
        return None
