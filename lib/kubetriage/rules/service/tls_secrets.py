"""What a TLS Secret is worth for the hosts that refer to it, as far as the reader kept it."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from functools import cached_property

from kubetriage.found import Lookup
from kubetriage.model import Ref
from kubetriage.readers.certificates import Certificate, CertificateError, chain_problem, read_pem
from kubetriage.records import dataclass
from kubetriage.rules.service.cluster_view import Place, World
from kubetriage.values.commands import PIPE, Command, kubectl
from kubetriage.values.fields import Obj, mapping, text

LONG_LIVED = timedelta(days=60)
SOON = timedelta(days=21)
"""A certificate of at least LONG_LIVED that ends within this time should have been renewed: ACME clients renew theirs
of 90 days 30 days before."""


@dataclass(frozen=True, eq=False)
class SecretUse:
    """One TLS Secret and those who refer to it."""

    world: World
    place: Place
    """The row of the Secret."""
    user: Ref
    """The Ingress or Gateway that refers to it."""
    at: str
    """Field path of the reference."""
    hosts: tuple[str, ...]
    """Hosts that it must stand for."""

    @property
    def ref(self) -> Ref:
        """Reference to the Secret."""
        return self.place.ref

    @property
    def name(self) -> str:
        """``secret/NAME``."""
        return f"secret/{self.ref.name}"

    @cached_property
    def lookup(self) -> Lookup:
        """The Secret."""
        return self.world.lookup("secrets", self.ref.namespace, self.ref.name)

    @property
    def obj(self) -> Obj:
        """The Secret, or an empty object."""
        return self.lookup.obj

    @property
    def kind(self) -> str:
        """``type`` of the Secret."""
        return text(self.obj, "type") or "Opaque"

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of its data keys."""
        return tuple(str(k) for k in mapping(self.obj, "data"))

    @cached_property
    def parsed(self) -> tuple[tuple[Certificate, ...], str]:
        """The certificates, leaf first; or none and what is wrong with ``tls.crt``. Both empty: not seen."""
        value = text(self.obj, "data", "tls.crt")
        state = text(self.obj, "tlsVerdict", "certificate")
        if not value:
            return (), {"empty": "it is empty", "unreadable": "it holds no PEM certificate"}.get(state, "")
        try:
            return read_pem(base64.b64decode(value, validate=False)), ""
        except (binascii.Error, ValueError) as error:
            return (), str(error) if isinstance(error, CertificateError) else "it is not base64"

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The certificates, leaf first; empty when they cannot be read."""
        return self.parsed[0]

    @property
    def leaf(self) -> Certificate | None:
        """The certificate that clients see."""
        return self.chain[0] if self.chain else None

    @property
    def chain_problem(self) -> str:
        """What is wrong with the order of the chain."""
        return chain_problem(self.chain)

    @property
    def key(self) -> str:
        """What comparing the key gave; empty when nobody did (see ``cluster/secrets.py``)."""
        found = text(self.obj, "tlsVerdict", "key")
        return "" if found == "unknown" else found

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Hosts that the certificate does not stand for."""
        leaf = self.leaf
        return tuple(h for h in self.hosts if leaf is not None and not leaf.covers(h))

    @property
    def get_command(self) -> str:
        """Command that shows the certificate, without its key."""
        return kubectl(
            "get",
            "secret",
            self.ref.name,
            "-o",
            "jsonpath={.data.tls\\.crt}",
            PIPE,
            "base64",
            "-d",
            PIPE,
            "openssl",
            "x509",
            "-noout",
            "-dates",
            "-ext",
            "subjectAltName",
            namespace=self.ref.namespace,
        )


def create_tls(namespace: str, name: str) -> Command:
    """Write the command that makes a TLS Secret of two files."""
    return kubectl("create", "secret", "tls", name, "--cert=tls.crt", "--key=tls.key", namespace=namespace)
