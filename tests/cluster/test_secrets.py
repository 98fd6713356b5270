"""What of a Secret may enter a snapshot: names of keys, certificates, and a verdict on the key."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubetriage.cluster.secrets import TLS_VERDICT, strip_secret
from support.certificates import certificate, key_pem

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = certificate(KEY, "shop.example.com")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def secret(crt: bytes, key: bytes, kind: str = "kubernetes.io/tls"):
    return {"metadata": {"name": "t"}, "type": kind, "data": {"tls.crt": b64(crt), "tls.key": b64(key)}}


@pytest.mark.parametrize(
    ("crt", "key", "verdict"),
    [
        (CERTIFICATE, key_pem(KEY), {"certificate": "read", "key": "match"}),
        (CERTIFICATE, key_pem(OTHER), {"certificate": "read", "key": "mismatch"}),
        (CERTIFICATE, b"garbage", {"certificate": "read", "key": "unreadable"}),
        (CERTIFICATE, b"", {"certificate": "read", "key": "unknown"}),
        (b"", b"", {"certificate": "unknown", "key": "unknown"}),
        (b"", key_pem(KEY), {"certificate": "empty", "key": "unknown"}),
        (b"garbage", key_pem(KEY), {"certificate": "unreadable", "key": "unknown"}),
    ],
)
def test_only_the_verdict_stays(crt, key, verdict):
    kept = strip_secret(secret(crt, key))
    assert kept[TLS_VERDICT] == verdict
    assert strip_secret(kept)[TLS_VERDICT] == verdict


@pytest.mark.parametrize("kind", ["kubernetes.io/tls", "Opaque"])
def test_no_byte_of_the_key_stays_even_when_it_is_pasted_beside_the_certificate(kind):
    key = key_pem(KEY)
    encoded = b64(key)
    kept = json.dumps(strip_secret(secret(CERTIFICATE + key, key, kind)))
    scalar = KEY.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for trace in (encoded[40:80], key.decode().splitlines()[1], scalar.hex(), "PRIVATE"):
        assert trace not in kept
    decoded = base64.b64decode(json.loads(kept)["data"]["tls.crt"])
    assert decoded.strip() == CERTIFICATE.strip()


def test_a_key_that_is_not_base64_is_unreadable():
    raw = secret(CERTIFICATE, b"")
    raw["data"]["tls.key"] = "%"
    assert strip_secret(raw)[TLS_VERDICT]["key"] in ("unreadable", "unknown")
