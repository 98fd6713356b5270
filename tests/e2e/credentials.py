"""The certificates and kubeconfigs of a real control plane, made anew for each run."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "node-1")


class Authority:
    """A certificate authority of its own, in a folder."""

    def __init__(self, folder: Path) -> None:
        """Make the authority."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = rsa.generate_private_key(65537, 2048)
        self._name = _name("e2e-ca", "")
        builder = self._builder(self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write("ca", builder.sign(self._key, hashes.SHA256()), self._key)

    def issue(self, name: str, common: str, organization: str = "", hosts: tuple[str, ...] = ()) -> None:
        """Write NAME.crt and NAME.key for a server on this machine, which has these addresses too, or a user."""
        key = rsa.generate_private_key(65537, 2048)
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        others = [x509.DNSName(n) for n in NAMES]
        addresses = [x509.IPAddress(ipaddress.ip_address(a)) for a in ("127.0.0.1", "10.96.0.1", *hosts)]
        builder = self._builder(_name(common, organization), key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([*others, *addresses]), critical=False)
        self._write(name, builder.sign(self._key, hashes.SHA256()), key)

    def kubeconfig(self, name: str, server: str, user: str, context: str) -> Path:
        """Write a kubeconfig for a user whose certificate was issued as ``user``."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [
                {"name": context, "cluster": {"server": server, "certificate-authority": str(self.folder / "ca.crt")}}
            ],
            "users": [
                {
                    "name": f"{context}-{user}",
                    "user": {
                        "client-certificate": str(self.folder / f"{user}.crt"),
                        "client-key": str(self.folder / f"{user}.key"),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": context, "user": f"{context}-{user}"}}],
        }
        path = self.folder / name
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def _builder(self, subject: x509.Name, public: rsa.RSAPublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
        )

    def _write(self, name: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
        pem = serialization.Encoding.PEM
        (self.folder / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


def _name(common: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)
