"""Reads X.509 certificates: names, dates, issuer, public key. Nothing is verified cryptographically.

An own reader of the few DER structures that a verdict needs, instead of a compiled package: see
docs/decisions/0002-certificates.md. It is total: hostile bytes raise :class:`CertificateError` and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from kubetriage.records import dataclass

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_LARGEST = 1 << 20
"""Longest PEM text that is read: 1 MiB is also the limit of a Secret."""
_MOST = 50
"""Certificates read from one file; a chain has a handful, a bundle of roots is not a chain."""

_SAN, _BASIC, _AUTHORITY_KEY, _SUBJECT_KEY = b"\x55\x1d\x11", b"\x55\x1d\x13", b"\x55\x1d\x23", b"\x55\x1d\x0e"
_COMMON_NAME = b"\x55\x04\x03"
_NAMES = {_COMMON_NAME: "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU", b"\x55\x04\x06": "C"}
RSA, EC = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", b"\x2a\x86\x48\xce\x3d\x02\x01"
ED25519, ED448 = b"\x2b\x65\x70", b"\x2b\x65\x71"
"""Object identifiers of key algorithms (RFC 8017, RFC 5480, RFC 8410), DER content bytes."""

SEQUENCE, SET, INTEGER, BIT_STRING, OCTET_STRING, OID = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06


class CertificateError(ValueError):
    """The bytes are not what they should be; the message says what, in words for a user."""


@dataclass(frozen=True)
class PublicKey:
    """A public key, comparable with another."""

    algorithm: str
    """``RSA``, ``EC``, ``Ed25519``, or the identifier in hex."""
    parts: tuple[int | bytes, ...]
    """RSA: modulus and exponent; EC: curve identifier and point; others: the raw key."""


@dataclass(frozen=True)
class Certificate:
    """One certificate."""

    subject: str
    issuer: str
    common_name: str
    """CN of the subject; clients ignore it since 2017 when there are subject alternative names."""
    not_before: datetime
    not_after: datetime
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    is_ca: bool
    public_key: PublicKey
    raw_subject: bytes
    raw_issuer: bytes
    subject_key: bytes = b""
    """Subject key identifier, empty when absent."""
    authority_key: bytes = b""
    """Key identifier of the issuer, empty when absent."""

    @property
    def self_signed(self) -> bool:
        """Issuer and subject are the same name."""
        return self.raw_subject == self.raw_issuer

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it stands for."""
        return (*self.dns_names, *self.addresses)

    def covers(self, host: str) -> bool:
        """Tell whether a client accepts it for ``host``: equal, or a wildcard for exactly the first label."""
        wanted = host.rstrip(".").lower()
        if not wanted:
            return True
        try:
            address = ipaddress.ip_address(wanted.strip("[]"))
        except ValueError:
            pass
        else:
            return any(_same_address(a, address) for a in self.addresses)
        for name in self.dns_names:
            pattern = name.rstrip(".").lower()
            if pattern == wanted:
                return True
            head, _, rest = wanted.partition(".")
            # RFC 6125 6.4.3: the wildcard is the whole first label; it does not stand for a wildcard host's "*".
            if pattern.startswith("*.") and rest and pattern[2:] == rest and (head != "*" or pattern == wanted):
                return True
        return False

    def issued(self, other: Certificate) -> bool:
        """Tell whether this can be the issuer of ``other``, by name and key identifier."""
        if self.raw_subject != other.raw_issuer:
            return False
        return not (self.subject_key and other.authority_key) or self.subject_key == other.authority_key


def _same_address(text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.ip_address(text) == address
    except ValueError:
        return False


def chain_problem(chain: Sequence[Certificate]) -> str:
    """Say what is wrong with the order of a chain file, leaf first; empty when nothing is."""
    if not chain:
        return ""
    for i, (below, above) in enumerate(itertools.pairwise(chain), 1):
        if not above.issued(below):
            if any(c.issued(below) for c in chain):
                return f"certificate {i + 1} ({above.subject}) is not the issuer of certificate {i}; the order is wrong"
            return f"certificate {i + 1} ({above.subject}) did not issue certificate {i} ({below.issuer} did)"
    return ""


def read_pem(content: bytes) -> tuple[Certificate, ...]:
    """Read all certificates of a PEM file, in their order.

    Raises CertificateError when there is none, or one of them cannot be read.
    """
    blocks = [body for label, body in pem_blocks(content) if label in ("CERTIFICATE", "TRUSTED CERTIFICATE")]
    if not blocks:
        raise CertificateError("there is no CERTIFICATE block in it")
    return tuple(read_der(body) for body in blocks[:_MOST])


def pem_blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield label and decoded bytes of each PEM block (RFC 7468).

    Raises CertificateError for a block that is not base64, or an input that is too long.
    """
    if len(content) > _LARGEST:
        raise CertificateError("it is longer than 1 MiB")
    for match in _PEM.finditer(content):
        label = match[1].decode("ascii", "replace")
        body = b"".join(line for line in match[2].split() if b":" not in line)
        try:
            yield label, base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise CertificateError(f"the {label} block is not base64") from error


class Der:
    """A cursor over the elements of one constructed DER value."""

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        """Stand before the first element."""
        self._data = data
        self._at = start
        self._end = len(data) if end is None else end
        self.element_start = start

    @property
    def more(self) -> bool:
        """Another element follows."""
        return self._at < self._end

    def peek(self) -> int:
        """Return the tag of the next element, 0 at the end."""
        return self._data[self._at] if self.more else 0

    def next(self, tag: int = 0) -> tuple[int, bytes]:
        """Return tag and content of the next element.

        Raises CertificateError when it is cut off, or is not ``tag`` where one is given.
        """
        self.element_start = self._at
        if self._end - self._at < 2:
            raise CertificateError("it is cut off")
        found, length = self._data[self._at], self._data[self._at + 1]
        at = self._at + 2
        if found & 0x1F == 0x1F:
            raise CertificateError("it has an element of an unknown kind")
        if length >= 0x80:
            count = length & 0x7F
            if not 0 < count <= 4 or at + count > self._end:
                raise CertificateError("it has a length that is not DER")
            length = int.from_bytes(self._data[at : at + count], "big")
            at += count
        if at + length > self._end:
            raise CertificateError("it is cut off")
        if tag and found != tag:
            raise CertificateError("it is not built like a certificate")
        self._at = at + length
        return found, self._data[at : at + length]

    def enter(self, tag: int) -> Der:
        """Return a cursor over the content of the next element."""
        return Der(self.next(tag)[1])

    @property
    def element(self) -> bytes:
        """The whole bytes of the element that :meth:`next` returned last."""
        return self._data[self.element_start : self._at]


def integer(content: bytes) -> int:
    """Return the value of an INTEGER."""
    return int.from_bytes(content, "big", signed=True)


def read_der(data: bytes) -> Certificate:
    """Read one certificate (RFC 5280 section 4.1).

    Raises CertificateError for anything else.
    """
    body = Der(data).enter(SEQUENCE).enter(SEQUENCE)
    if body.peek() == 0xA0:
        body.next()
    body.next(INTEGER)
    body.next(SEQUENCE)
    issuer = body.enter(SEQUENCE)
    raw_issuer = body.element
    validity = body.enter(SEQUENCE)
    not_before, not_after = _time(*validity.next()), _time(*validity.next())
    subject = body.enter(SEQUENCE)
    raw_subject = body.element
    public_key = read_public_key(body.next(SEQUENCE)[1])
    names: list[str] = []
    addresses: list[str] = []
    is_ca, subject_key, authority_key = False, b"", b""
    while body.more:
        tag, content = body.next()
        if tag != 0xA3:
            continue
        extensions = Der(content).enter(SEQUENCE)
        while extensions.more:
            kind, value = _extension(extensions.enter(SEQUENCE))
            if kind == _SAN:
                _alternative_names(value, names, addresses)
            elif kind == _BASIC:
                constraints = Der(value).enter(SEQUENCE)
                is_ca = constraints.peek() == 0x01 and constraints.next()[1] not in (b"", b"\x00")
            elif kind == _SUBJECT_KEY:
                subject_key = Der(value).next(OCTET_STRING)[1]
            elif kind == _AUTHORITY_KEY:
                inner = Der(value).enter(SEQUENCE)
                if inner.peek() == 0x80:
                    authority_key = inner.next()[1]
    subject_words, common_name = _name(subject)
    return Certificate(
        subject_words,
        _name(issuer)[0],
        common_name,
        not_before,
        not_after,
        tuple(names),
        tuple(addresses),
        is_ca,
        public_key,
        raw_subject,
        raw_issuer,
        subject_key,
        authority_key,
    )


def read_public_key(content: bytes) -> PublicKey:
    """Read the content of a SubjectPublicKeyInfo."""
    info = Der(content)
    algorithm = info.enter(SEQUENCE)
    _, kind = algorithm.next(OID)
    _, bits = info.next(BIT_STRING)
    key = bits[1:]
    if kind == RSA:
        numbers = Der(key).enter(SEQUENCE)
        return PublicKey("RSA", (integer(numbers.next(INTEGER)[1]), integer(numbers.next(INTEGER)[1])))
    if kind == EC:
        curve = algorithm.next()[1] if algorithm.more else b""
        return PublicKey("EC", (curve, key))
    return PublicKey("Ed25519" if kind == ED25519 else kind.hex(), (key,))


def _extension(fields: Der) -> tuple[bytes, bytes]:
    _, kind = fields.next(OID)
    if fields.peek() == 0x01:
        fields.next()
    return kind, fields.next(OCTET_STRING)[1]


def _alternative_names(value: bytes, names: list[str], addresses: list[str]) -> None:
    general = Der(value).enter(SEQUENCE)
    while general.more:
        tag, content = general.next()
        if tag == 0x82:
            names.append(content.decode("ascii", "replace"))
        elif tag == 0x87 and len(content) in (4, 16):
            addresses.append(str(ipaddress.ip_address(content)))


def _name(sets: Der) -> tuple[str, str]:
    parts: list[str] = []
    common = ""
    while sets.more:
        members = sets.enter(SET)
        while members.more:
            pair = members.enter(SEQUENCE)
            _, kind = pair.next(OID)
            tag, content = pair.next()
            # BMPString is UTF-16; the other string kinds are ASCII, Latin-1 or UTF-8.
            shown = content.decode("utf-16-be" if tag == 0x1E else "utf-8", "replace")
            if kind == _COMMON_NAME:
                common = shown
            if kind in _NAMES:
                parts.append(f"{_NAMES[kind]}={shown}")
    return ",".join(parts), common


def _time(tag: int, content: bytes) -> datetime:
    digits = content.decode("ascii", "replace")
    if tag == 0x17 and len(digits) == 13:
        year = int(digits[:2]) if digits[:2].isdigit() else -1
        # RFC 5280 4.1.2.5.1: two digits below 50 are of this century.
        digits = f"{'20' if 0 <= year < 50 else '19'}{digits}"
    elif tag != 0x18:
        raise CertificateError("it has a date that cannot be read")
    match = re.match(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z\Z", digits, re.ASCII)
    if match is None:
        raise CertificateError("it has a date that cannot be read")
    try:
        return datetime(*(int(part) for part in match.groups()), tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
    except ValueError as error:
        raise CertificateError("it has a date that cannot be read") from error
