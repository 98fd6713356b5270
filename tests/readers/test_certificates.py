"""X.509 reading against certificates made with the cryptography package, and on hostile bytes."""

import base64
import contextlib
import datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.cluster.tls_keys import compare_key
from kubetriage.readers.certificates import CertificateError, chain_problem, read_der, read_pem
from support.certificates import END, START, UTC, key_pem, make, pem

KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
OTHERS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("kind", KEYS)
def test_reads_what_cryptography_wrote(kind):
    made = make(KEYS[kind], "shop.example.com", "*.example.org", addresses=("10.0.0.1", "fd00::1"))
    (read,) = read_pem(b"junk before\n" + pem(made))
    assert (read.not_before, read.not_after) == (START, END)
    assert read.dns_names == ("shop.example.com", "*.example.org")
    assert read.addresses == ("10.0.0.1", "fd00::1")
    assert (read.common_name, read.issuer, read.is_ca) == ("leaf", "CN=ca,O=Ä", False)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.from_regex(r"(\*\.)?[a-z0-9]{1,10}(\.[a-z]{2,5}){1,3}", fullmatch=True), max_size=4),
    st.datetimes(datetime.datetime(1951, 1, 1), datetime.datetime(2400, 1, 1)),
    st.integers(1, 10**6),
    st.booleans(),
)
def test_names_and_dates_survive(names, start, hours, ca):
    begin = start.replace(microsecond=0, tzinfo=UTC)
    made = make(KEYS["p256"], *names, start=begin, end=begin + datetime.timedelta(hours=hours), ca=ca)
    read = read_der(made.public_bytes(serialization.Encoding.DER))
    assert read.dns_names == tuple(names)
    assert (read.not_before, read.not_after) == (made.not_valid_before_utc, made.not_valid_after_utc)
    assert read.is_ca is ca


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("shop.example.com", True),
        ("SHOP.example.com.", True),
        ("a.example.org", True),
        ("a.b.example.org", False),
        ("example.org", False),
        ("*.example.org", True),
        ("other.example.com", False),
        ("10.0.0.1", True),
        ("10.0.0.2", False),
    ],
)
def test_wildcards_stand_for_one_label(host, covered):
    made = make(KEYS["p256"], "shop.example.com", "*.example.org", addresses=("10.0.0.1",))
    assert read_pem(pem(made))[0].covers(host) is covered


def test_the_common_name_does_not_count():
    assert not read_pem(pem(make(KEYS["p256"], subject="shop.example.com")))[0].covers("shop.example.com")


def test_chain_order():
    root, middle, leaf = KEYS["p256"], KEYS["p384"], KEYS["rsa"]
    top = make(root, issuer="root", subject="root", ca=True)
    between = make(middle, issuer="root", subject="middle", signer=root, ca=True)
    end = make(leaf, "a.example.com", issuer="middle", signer=middle)
    assert chain_problem(read_pem(pem(end, between, top))) == ""
    assert chain_problem(read_pem(pem(end))) == ""
    assert "order" in chain_problem(read_pem(pem(end, top, between)))
    assert chain_problem(read_pem(pem(end, top)))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_hostile_bytes_raise_only_the_readers_error(noise, at, byte):
    good = bytearray(make(KEYS["p256"], "shop.example.com").public_bytes(serialization.Encoding.DER))
    good[at % len(good)] = byte
    for data in (noise, bytes(good), bytes(good[:at])):
        with contextlib.suppress(CertificateError):
            read_der(data)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_hostile_pem_raises_only_the_readers_error(noise):
    for data in (noise, b"-----BEGIN CERTIFICATE-----\n" + noise + b"\n-----END CERTIFICATE-----"):
        with pytest.raises(CertificateError):
            read_pem(data)


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_told_from_another(kind):
    certificate = pem(make(KEYS[kind], "a.example.com"))
    assert compare_key(certificate, key_pem(KEYS[kind])) == "match"
    assert compare_key(certificate, key_pem(OTHERS[kind])) == "mismatch"


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_traditional_key_files(kind):
    certificate = pem(make(KEYS[kind], "a.example.com"))
    assert compare_key(certificate, key_pem(KEYS[kind], serialization.PrivateFormat.TraditionalOpenSSL)) == "match"


def test_keys_of_different_kinds_mismatch():
    assert compare_key(pem(make(KEYS["rsa"])), key_pem(KEYS["p256"])) == "mismatch"


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        (b"", "unknown"),
        (b"not a key", "unreadable"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "unreadable"),
        (key_pem(KEYS["p256"], password=b"secret"), "encrypted"),
        (key_pem(KEYS["rsa"], serialization.PrivateFormat.TraditionalOpenSSL, b"secret"), "encrypted"),
    ],
)
def test_keys_that_cannot_be_compared(key, verdict):
    assert compare_key(pem(make(KEYS["p256"])), key) == verdict


def test_without_a_certificate_nothing_is_known():
    assert compare_key(b"", key_pem(KEYS["p256"])) == "unknown"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]))
def test_hostile_keys_get_a_verdict(noise, label):
    block = f"-----BEGIN {label}-----\n{base64.b64encode(noise).decode()}\n-----END {label}-----".encode()
    assert compare_key(pem(make(KEYS["p256"])), block) in ("unreadable", "mismatch", "unknown", "encrypted", "match")
