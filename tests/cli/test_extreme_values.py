"""Times at the ends of the calendar and numbers at the ends of 64 bits end no run."""

import pytest

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Request, load
from kubetriage.values.times import parse_time
from support.offline import CAPTURES, target, truth

SCENARIOS = sorted(path.parent.name for path in CAPTURES.glob("*/truth.json"))
EXTREMES = [
    ("9999-12-31T23:59:59Z", None),
    ("9999-12-31T23:59:59+00:00", 2**63 - 1),
    ("0001-01-01T00:00:01Z", None),
    ("0002-01-01T00:00:00Z", -(2**63)),
    ("1969-12-31T23:59:59Z", 0),
]


def changed(value, moment, number):
    """Replace each time of an object, and each number of seconds."""
    if isinstance(value, dict):
        return {
            k: number if number is not None and type(v) is int and k.endswith("Seconds") else changed(v, moment, number)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [changed(v, moment, number) for v in value]
    return moment if isinstance(value, str) and value.startswith("20") and parse_time(value) else value


class Extreme(RecordedReader):
    def __init__(self, path, moment, number):
        super().__init__(path)
        self._change = moment, number

    def open(self):
        snapshot = super().open()
        for resource, obj in list(snapshot.objects):
            snapshot.add(resource, changed(obj, *self._change))
        return snapshot


@pytest.mark.attack("times and numbers at their ends")
@pytest.mark.slow
@pytest.mark.parametrize(("moment", "number"), EXTREMES)
def test_extreme_times_and_numbers_end_no_run(moment, number):
    for scenario in SCENARIOS:
        right = truth(scenario)
        plugin = load(right.command)
        options = {o.flag.removeprefix("--").replace("-", "_"): o.default for o in plugin.options}
        targets = (target(right.target),) if "/" in right.target and plugin.takes_targets else ()
        request = Request(targets=targets, namespace=right.namespace or "default", options=options)
        answer = collect(plugin, request, Extreme(CAPTURES / scenario, moment, number))[1]
        assert answer.diagnoses or answer.errors or request.is_scan
