"""Certificates for the fake API server, made at test time; nothing is stored in the repository."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Certificates:
    """Files of one private certificate authority."""

    ca: Path
    server_cert: Path
    server_key: Path
    expired_cert: Path
    """Like the server's, but its time is over."""
    expired_key: Path
    other_cert: Path
    """Like the server's, but made for the name ``elsewhere.test`` only."""
    other_key: Path
    client_cert: Path
    """User ``cert-user`` in group ``cert-group``."""
    client_key: Path


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


@functools.cache
def certificates() -> Certificates:
    """Make a certificate authority and what it signs, once per process."""
    folder = Path(tempfile.mkdtemp(prefix="fake-api-tls-"))
    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key = _key()
    ca_name = _name("fake cluster")
    ca = (
        x509.CertificateBuilder()
        .subject_name(ca_name)
        .issuer_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(ca_key, hashes.SHA256())
    )
    ca_file = folder / "ca.crt"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))

    def issue(stem: str, subject: x509.Name, names: list[str], usage: x509.ObjectIdentifier, days: int) -> None:
        key = _key()
        general: list[x509.GeneralName] = []
        for name in names:
            try:
                general.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                general.append(x509.DNSName(name))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if general:
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        (folder / f"{stem}.crt").write_bytes(
            builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        (folder / f"{stem}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    issue("server", _name("kube-apiserver"), ["127.0.0.1", "localhost", "api.test"], server, 9)
    issue("expired", _name("kube-apiserver"), ["127.0.0.1", "localhost"], server, -1)
    issue("other", _name("kube-apiserver"), ["elsewhere.test"], server, 9)
    issue("client", _name("cert-user", "cert-group"), [], client, 9)
    return Certificates(
        ca_file,
        folder / "server.crt",
        folder / "server.key",
        folder / "expired.crt",
        folder / "expired.key",
        folder / "other.crt",
        folder / "other.key",
        folder / "client.crt",
        folder / "client.key",
    )


@functools.cache
def incomparable_key() -> bytes:
    """Return a private key (PEM) of a kind that TLS servers of clusters do not use."""
    return ed448.Ed448PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def server_context(certificate: str = "server", ask_client: bool = False) -> ssl.SSLContext:
    """Return the server side of TLS with one of the certificates (``server``, ``expired``, ``other``)."""
    made = certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(getattr(made, f"{certificate}_cert"), getattr(made, f"{certificate}_key"))
    if ask_client:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(made.ca)
    return context
