from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetriage.values.quantity import format_bytes, format_mebibytes, parse_bytes, parse_millis, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("128Mi", 128 * 2**20),
        ("1.5Gi", 3 * 2**29),
        ("1e3", 1000),
        ("1E", 10**18),
        ("1E3", 1000),
        ("12E6", 12 * 10**6),
        ("100m", Fraction(1, 10)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("+1k", 1000),
        ("-1Ki", -1024),
        ("1n", Fraction(1, 10**9)),
        (5, 5),
        (0.5, Fraction(1, 2)),
    ],
)
def test_reads_what_the_api_server_reads(text, value):
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1K", "1KI", "1ki", "1_000", "NaN", "inf", "1e", "e3", "0x10", "1Mi ", "--1", "1e999999", "١",
     None, True, [], {}, float("nan"), float("inf")],
)  # fmt: skip
def test_refuses_what_the_api_server_refuses(text):
    assert parse_quantity(text) is None


@pytest.mark.parametrize(("text", "count"), [("1500m", 2), ("1", 1), ("-1500m", -1), ("0.1", 1)])
def test_bytes_are_rounded_up(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize(("text", "count"), [("1", 1000), ("1500m", 1500), ("1u", 1), ("0.0001", 1)])
def test_millis_are_rounded_up(text, count):
    assert parse_millis(text) == count


@given(st.integers(0, 2**60), st.sampled_from(["", "Ki", "Mi", "k", "M", "m"]))
def test_suffixes_scale(number, suffix):
    scale = {"": 1, "Ki": 2**10, "Mi": 2**20, "k": 10**3, "M": 10**6, "m": Fraction(1, 1000)}[suffix]
    assert parse_quantity(f"{number}{suffix}") == number * scale


@given(st.integers(1, 2**55))
def test_a_limit_in_mebibytes_is_never_too_small(count):
    read = parse_bytes(format_mebibytes(count))
    assert read is not None
    assert count <= read < count + 2**20


@given(st.text(max_size=40))
def test_never_raises(text):
    parse_quantity(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (2**20 * 160, "160Mi"),
        (3 * 2**29, "1.5Gi"),
        (-(2**20), "-1Mi"),
        (10**400, f"{10**400 // 2**40}Ti"),
    ],
)
def test_formats_bytes(count, text):
    assert format_bytes(count) == text
