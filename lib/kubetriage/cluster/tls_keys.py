"""Compares a private key with a certificate in memory; only the verdict leaves this module.

For RSA the modulus is compared; for the curves the public key is computed from the private one, because not every
key file holds it. That is arithmetic for one comparison, not cryptography that protects anything, so it needs no
constant time. See docs/decisions/0002-certificates.md.
"""

from __future__ import annotations

import hashlib

from kubetriage.readers.certificates import (
    EC,
    ED25519,
    INTEGER,
    OCTET_STRING,
    OID,
    RSA,
    SEQUENCE,
    CertificateError,
    Der,
    PublicKey,
    integer,
    pem_blocks,
    read_pem,
)
from kubetriage.typed import Literal

KeyVerdict = Literal["match", "mismatch", "unreadable", "encrypted", "unknown"]
"""``unknown``: a kind of key that is not compared, no key, or no readable certificate to compare with."""

# Domain parameters (SEC 2): p, b, order n, base point; a is always p - 3.
_CURVES: dict[bytes, tuple[int, int, int, int]] = {
    bytes.fromhex("2a8648ce3d030107"): (
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    bytes.fromhex("2b81040022"): (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
        0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
    ),
    bytes.fromhex("2b81040023"): (
        2**521 - 1,
        int(
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
            "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
            16,
        ),
        int(
            "00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3D"
            "BAA14B5E77EFE75928FE1DC127A2FFA8DE3348B3C1856A429BF97E7E31C2E5BD66",
            16,
        ),
        int(
            "011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E66"
            "2C97EE72995EF42640C550B9013FAD0761353C7086A272C24088BE94769FD16650",
            16,
        ),
    ),
}


def compare_key(certificate: bytes, key: bytes) -> KeyVerdict:
    """Tell whether a PEM private key belongs to the first certificate of a PEM file."""
    if not key.strip():
        return "unknown"
    try:
        public = _public_of(key)
    except _EncryptedError:
        return "encrypted"
    except CertificateError:
        return "unreadable"
    if public is None:
        return "unknown"
    try:
        wanted = read_pem(certificate)[0].public_key
    except CertificateError:
        return "unknown"
    return "match" if _same(wanted, public) else "mismatch"


class _EncryptedError(CertificateError):
    """The key needs a passphrase, which no ingress controller asks for."""


def _same(one: PublicKey, other: PublicKey) -> bool:
    if one.algorithm == other.algorithm == "EC" and isinstance(one.parts[1], bytes):
        return one.parts[0] == other.parts[0] and _same_point(one.parts[1], other.parts[1])
    return one == other


def _same_point(one: bytes, other: int | bytes) -> bool:
    if not isinstance(other, bytes):
        return False
    if one[:1] in (b"\x02", b"\x03"):  # compressed: x and the parity of y
        size = len(one) - 1
        return other[1 : 1 + size] == one[1:] and (other[-1] & 1) == one[0] - 2
    return one == other


def _public_of(key: bytes) -> PublicKey | None:
    if b"ENCRYPTED" in key:
        raise _EncryptedError("the key is encrypted")
    for label, body in pem_blocks(key):
        if label == "RSA PRIVATE KEY":
            return _rsa(body)
        if label == "EC PRIVATE KEY":
            return _ec(body, b"")
        if label == "PRIVATE KEY":
            return _pkcs8(body)
    raise CertificateError("there is no PRIVATE KEY block in it")


def _pkcs8(body: bytes) -> PublicKey | None:
    fields = Der(body).enter(SEQUENCE)
    fields.next(INTEGER)
    algorithm = fields.enter(SEQUENCE)
    _, kind = algorithm.next(OID)
    _, inner = fields.next(OCTET_STRING)
    if kind == RSA:
        return _rsa(inner)
    if kind == EC:
        return _ec(inner, algorithm.next()[1] if algorithm.more else b"")
    if kind == ED25519:
        seed = Der(inner).next(OCTET_STRING)[1]
        if len(seed) != 32:
            raise CertificateError("an Ed25519 key has 32 bytes")
        return PublicKey("Ed25519", (_ed25519(seed),))
    return None


def _rsa(body: bytes) -> PublicKey:
    fields = Der(body).enter(SEQUENCE)
    fields.next(INTEGER)
    return PublicKey("RSA", (integer(fields.next(INTEGER)[1]), integer(fields.next(INTEGER)[1])))


def _ec(body: bytes, curve: bytes) -> PublicKey | None:
    fields = Der(body).enter(SEQUENCE)
    fields.next(INTEGER)
    scalar = int.from_bytes(fields.next(OCTET_STRING)[1], "big")
    while fields.more:
        tag, content = fields.next()
        if tag == 0xA0:
            curve = Der(content).next()[1]
    parameters = _CURVES.get(curve)
    if parameters is None:
        return None
    p, order, x, y = parameters
    if not 0 < scalar < order:
        raise CertificateError("the key is out of range")
    point = _multiply(scalar, (x, y), p)
    size = (p.bit_length() + 7) // 8
    return PublicKey("EC", (curve, b"\x04" + point[0].to_bytes(size, "big") + point[1].to_bytes(size, "big")))


def _multiply(scalar: int, base: tuple[int, int], p: int) -> tuple[int, int]:
    """Return scalar * base on a curve with a = -3, 0 < scalar < order."""
    result: tuple[int, int] | None = None
    addend = base
    while scalar:
        if scalar & 1:
            result = addend if result is None else _add(result, addend, p)
        addend = _add(addend, addend, p)
        scalar >>= 1
    assert result is not None
    return result


def _add(one: tuple[int, int], other: tuple[int, int], p: int) -> tuple[int, int]:
    # The sum is never the point at infinity here: all points are distinct multiples below the order.
    (x1, y1), (x2, y2) = one, other
    slope = (3 * x1 * x1 - 3) * pow(2 * y1, -1, p) if one == other else (y2 - y1) * pow(x2 - x1, -1, p)
    x = (slope * slope - x1 - x2) % p
    return x, (slope * (x1 - x) - y1) % p


_P25519 = 2**255 - 19
_D25519 = -121665 * pow(121666, -1, _P25519) % _P25519
_BASE_Y = 4 * pow(5, -1, _P25519) % _P25519
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202


def _ed25519(seed: bytes) -> bytes:
    """Return the public key of an Ed25519 seed (RFC 8032 section 5.1.5)."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | (1 << 254)
    x, y = 0, 1
    add_x, add_y = _BASE_X, _BASE_Y
    while scalar:
        if scalar & 1:
            x, y = _edwards_add(x, y, add_x, add_y)
        add_x, add_y = _edwards_add(add_x, add_y, add_x, add_y)
        scalar >>= 1
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _edwards_add(x1: int, y1: int, x2: int, y2: int) -> tuple[int, int]:
    product = _D25519 * x1 * x2 * y1 * y2 % _P25519
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, _P25519) % _P25519,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, _P25519) % _P25519,
    )
