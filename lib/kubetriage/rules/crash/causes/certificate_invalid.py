"""A TLS certificate was not accepted, and the program ended because of it.

Meaning: the connection works; the proof of identity does not. Either it is too old (or the clock is wrong), or nobody
that this container trusts signed it, or it is for another name, or the file itself cannot be read.

Told by: the words of the TLS library in the last error of the crashed instance (OpenSSL, Go, the JVM, Node, .NET,
rustls). They say which of the four it is.

Fix: renew the certificate; mount the CA and point the program to it; connect by a name that is in the certificate;
put a matching pair of certificate and key into the Secret.

Source: X509_verify_cert_error_string of OpenSSL, crypto/x509 of Go, PKIX of the JDK, Node's tls error codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Finding, Fix
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, path_near, short
from kubetriage.values.patterns import lazy

CODE = "CertificateInvalid"

# Go crypto/x509; OpenSSL (also in Python, Ruby, PHP, curl); JDK; Node; .NET; rustls. The most telling first.
_PROBLEMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "expired",
        lazy(
            r"certificate (?:has expired|is not yet valid|expired)|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID"
            r"|CertificateExpiredException"
            r"|CertificateNotYetValid|invalid peer certificate: (?:Expired|NotValidYet)|\bNotTimeValid\b"
            r"|expired certificate",
            re.IGNORECASE,
        ),
    ),
    (
        "mismatch",
        lazy(
            r"certificate is (?:not )?valid for|doesn't contain any IP SANs|legacy Common Name"
            r"|hostname mismatch|IP address mismatch"
            r"|No subject alternative (?:DNS )?names?|No name matching|ERR_TLS_CERT_ALTNAME_INVALID"
            r"|RemoteCertificateNameMismatch"
            r"|NotValidForName|does not match (?:certificate|target host)|no alternative certificate subject name",
            re.IGNORECASE,
        ),
    ),
    (
        "unreadable",
        lazy(
            r"private key does not match public key|failed to find any PEM data|key[ _]values[ _]mismatch"
            r"|PEM_read_bio|PEM routines"
            r"|bad decrypt|Keystore was tampered|keystore password was incorrect|cannot load certificate"
            r"|unable to load certificate"
            r"|error loading (?:cert|key)|no start line|DerInputStream",
            re.IGNORECASE,
        ),
    ),
    (
        "untrusted",
        lazy(
            r"signed by unknown authority|unknown (?:certificate )?authority|PKIX path"
            r"|unable to find valid certification path"
            r"|CERTIFICATE_VERIFY_FAILED|certificate verify failed|self[- ]signed certificate"
            r"|UNABLE_TO_VERIFY_LEAF_SIGNATURE"
            r"|UNABLE_TO_GET_ISSUER_CERT|SELF_SIGNED_CERT|unable to get (?:local )?issuer certificate"
            r"|UnknownIssuer|UntrustedRoot"
            r"|PartialChain|RemoteCertificateChainErrors|remote certificate is invalid|bad certificate"
            r"|SSL certificate problem"
            r"|x509: ",
            re.IGNORECASE,
        ),
    ),
)
# The file of a certificate that is not there is missing configuration; one that may not be read, a permission.
_NO_FILE = lazy(r"no such file or directory|permission denied", re.IGNORECASE)
_ANY = lazy("|".join(pattern.pattern for _, pattern in _PROBLEMS), re.IGNORECASE)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is about a certificate."""
    for words in unknown_words(case):
        said = words.find(_ANY, unless=_NO_FILE)
        if said is not None:
            yield _finding(words, said)


def _finding(words: LastWords, said: Said) -> Finding:
    name = words.container.name
    lines = [said.line, *(words.error.lines if words.error else ())]
    problem = next(kind for kind, pattern in _PROBLEMS if any(pattern.search(line) for line in lines))
    path = path_near(said.line, said.match.start())
    what, fix = {
        "expired": (
            "the certificate is outside its time of validity",
            "Renew the certificate of the server, and check the clocks; 'openssl x509 -noout -dates' shows its dates.",
        ),
        "mismatch": (
            "the certificate is for another name than the one that was dialled",
            "Connect by a name that is in the certificate, or issue it with that name as a DNS subjectAltName.",
        ),
        "unreadable": (
            "the certificate or its key cannot be used" + (f" ({path})" if path else ""),
            "Put a PEM certificate and the key that belongs to it into the Secret; compare their public keys "
            "with openssl.",
        ),
        "untrusted": (
            "no authority that the container trusts signed the certificate",
            f"Mount the CA certificate into {name} and point the program to it (SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, "
            f"REQUESTS_CA_BUNDLE, a trust store); do not switch verification off.",
        ),
    }[problem]
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because {what}: {short(said.line)}.",
        quoted=(said.line,),
        fix=(Fix(fix),),
        details={"problem": problem},
    )
