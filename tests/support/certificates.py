"""Certificates and keys for tests, made with the cryptography package."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

UTC = datetime.timezone.utc
START, END = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime.datetime(2056, 2, 3, tzinfo=UTC)


def name(common):
    pairs = ((NameOID.COMMON_NAME, common), (NameOID.ORGANIZATION_NAME, "Ä"))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs])


def make(key, *names, issuer="ca", signer=None, start=START, end=END, addresses=(), ca=False, subject="leaf"):
    """Make a certificate for ``key``, signed by ``signer`` (itself when None)."""
    algorithm = None if isinstance(signer or key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if signer is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(identifier, critical=False)
    alternatives = [
        *(x509.DNSName(n) for n in names),
        *(x509.IPAddress(ipaddress.ip_address(a)) for a in addresses),
    ]
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(signer or key, algorithm)


def pem(*certificates):
    """Write certificates as one PEM file."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def certificate(key, *names, **how):
    """Return a PEM certificate for ``key``."""
    return pem(make(key, *names, **how))


def key_pem(key, fmt=serialization.PrivateFormat.PKCS8, password=None):
    """Write a private key as PEM."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, fmt, encryption)
