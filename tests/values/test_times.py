import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetriage.values.times import (
    format_time,
    human_duration,
    parse_go_duration,
    parse_time,
    precise_duration,
    span_of,
)

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T22:19:45Z", datetime(2026, 11, 23, 22, 19, 45, tzinfo=UTC)),
        ("2026-11-23T22:19:45.123456Z", datetime(2026, 11, 23, 22, 19, 45, 123456, tzinfo=UTC)),
        ("2026-11-23T22:19:45.123456789Z", datetime(2026, 11, 23, 22, 19, 45, 123456, tzinfo=UTC)),
        ("2026-11-23T22:19:45+02:00", datetime(2026, 11, 23, 20, 19, 45, tzinfo=UTC)),
        ("2026-11-23T22:19:60Z", datetime(2026, 11, 23, 22, 19, 59, tzinfo=UTC)),
    ],
)
def test_reads_rfc3339(text, moment):
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-23", "2026-13-23T22:19:45Z", "2026-11-23T22:19:45", None, 5, "0001-01-01T00:00:00Z",
     "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00"],
)  # fmt: skip
def test_anything_else_and_zero_times_are_no_time(text):
    assert parse_time(text) is None


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_times_survive_a_round_trip(moment):
    assert parse_time(format_time(moment)) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2m40s", 160), ("5m0s", 300), ("1.5h", 5400), ("300ms", 0.3), ("0", 0), ("10s", 10), ("1h2m3.5s", 3723.5)],
)
def test_reads_go_durations(text, seconds):
    assert parse_go_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 s", "5s ", "1d", "9" * 400 + "h"])
def test_refuses_other_durations(text):
    assert parse_go_duration(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"), (0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (599, "9m59s"), (600, "10m"),
        (10799, "179m"), (10800, "3h"), (4 * 3600 + 300, "4h5m"), (8 * 3600, "8h"), (47 * 3600, "47h"),
        (48 * 3600, "2d"), (50 * 3600, "2d2h"), (8 * 86400, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"),
        (800 * 86400, "2y70d"), (9 * 365 * 86400, "9y"),
    ],
)  # fmt: skip
def test_ages_are_kubectls(seconds, text):
    assert human_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.6, "1m0s"), (160, "2m40s"), (3605, "1h0m5s"), (-5, "-5s")]
)
def test_precise_durations_keep_the_seconds(seconds, text):
    assert precise_duration(timedelta(seconds=seconds)) == text


def test_durations_and_times_are_bounded():
    begun = time.process_time()
    assert parse_go_duration("0" * 200_000) is None
    assert parse_go_duration("9" * 30 + "h") is None
    assert time.process_time() - begun < 5
    last = parse_time("9999-12-31T23:59:59Z")
    assert last is not None
    assert (last + parse_go_duration("9999999999999999h")).year < 9999
    assert (last + span_of(2**63)).year > 5000
