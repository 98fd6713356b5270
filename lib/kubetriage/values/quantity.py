"""Kubernetes quantities (``resource.Quantity``), exactly as the API server reads them.

The grammar is that of apimachinery ``pkg/api/resource/quantity.go``: a signed decimal with one suffix out of
``Ki Mi Gi Ti Pi Ei``, ``n u m k M G T P E`` or a decimal exponent. Nothing else is a quantity: not ``1K``,
``1_000``, ``NaN`` nor a number with blanks around it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kubetriage.typed import TYPE_CHECKING
from kubetriage.values.patterns import lazy

if TYPE_CHECKING:
    from fractions import Fraction

_QUANTITY = lazy(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?\Z", re.ASCII)
_POWERS = {
    "": (1, 0),
    **{suffix: (1024, i + 1) for i, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
    **{suffix: (1000, i + 1) for i, suffix in enumerate(("k", "M", "G", "T", "P", "E"))},
    "n": (1000, -3),
    "u": (1000, -2),
    "m": (1000, -1),
}
"""What a suffix stands for: base and exponent."""
_LARGEST_EXPONENT = 400
"""Beyond this an exponent can only be an attack on the reader's memory."""

UNLIMITED_BYTES = 2**62
"""Values at or above this are "no limit": the kubelet reports 9007199254740988Ki where nothing is set."""


def parse_quantity(value: object) -> Fraction | None:
    """Return the exact value of a quantity, or None when it is not one.

    JSON numbers are accepted as the API server accepts them in a manifest.
    """
    # It takes longer to import than most pods to read, and most pods do without.
    from fractions import Fraction

    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(repr(value)) if value == value and abs(value) != float("inf") else None
    if not isinstance(value, str) or len(value) > 1000:
        return None
    match = _QUANTITY.match(value)
    if match is None:
        return None
    sign, digits, suffix = match[1], match[2], match[3] or ""
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        exponent = int(suffix[1:])
        if abs(exponent) > _LARGEST_EXPONENT:
            return None
        scale = Fraction(10) ** exponent
    else:
        scale = _scale(suffix)
    amount = Fraction(digits.rstrip(".") or "0") * scale
    return -amount if sign == "-" else amount


@lru_cache(maxsize=32)
def _scale(suffix: str) -> Fraction:
    from fractions import Fraction

    base, power = _POWERS[suffix]
    return Fraction(base) ** power


def parse_bytes(value: object) -> int | None:
    """Return a memory or storage quantity in bytes, rounded up as ``Quantity.Value()`` does."""
    return _whole_bytes(value) if isinstance(value, str) else _rounded_up(parse_quantity(value))


@lru_cache(maxsize=4096)
def _whole_bytes(value: str) -> int | None:
    """Remember what people write again and again: a scan of ten thousand pods reads some hundred different sizes."""
    return _rounded_up(parse_quantity(value))


def _rounded_up(amount: Fraction | None) -> int | None:
    return None if amount is None else -((-amount).__floor__())


def parse_millis(value: object) -> int | None:
    """Return a CPU quantity in thousandths, rounded up as ``Quantity.MilliValue()`` does."""
    amount = parse_quantity(value)
    return None if amount is None else -((-amount * 1000).__floor__())


def meant_size(written: str) -> str:
    """Return what a memory size without its unit was meant to be (``512Mi`` for ``512m`` and ``512``); else empty.

    ``m`` means thousandths, so ``512m`` is half a byte; a bare number is bytes. No process fits in either.
    """
    match = re.fullmatch(r"(\d{2,5})m?", written, re.ASCII)
    return f"{int(match[1])}Mi" if match else ""


def format_mebibytes(count: int) -> str:
    """Write bytes as a quantity in MiB (``512Mi``), rounded up; for limits that must not be too small."""
    return f"{-(-count // 2**20)}Mi"


def format_bytes(count: int) -> str:
    """Write bytes in the largest binary unit that keeps it readable (``160Mi``, ``1.5Gi``)."""
    if count < 0:
        return "-" + format_bytes(-count)
    for suffix, size in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if count >= size:
            # A count beyond a float's range is nonsense that somebody wrote into an object, not a size.
            whole = count % size == 0 or count >= 2**1000
            return f"{count // size}{suffix}" if whole else f"{count / size:.1f}{suffix}"
    return f"{count}"
