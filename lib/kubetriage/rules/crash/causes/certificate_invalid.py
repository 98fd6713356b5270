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
from kubetriage.rules.crash.acts import cloud, image, manifest, node, on_node, operator, place, restart, where
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors import unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, path_near, short
from kubetriage.values.commands import kubectl, shell
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
            r"|PartialChain|RemoteCertificateChainErrors|remote certificate (?:is invalid|was rejected)|bad certificate"
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
    whole = "\n".join(lines)[:8192]
    host, port = _server(words, said.line)
    if problem == "untrusted" and _PEER.search(whole):
        problem = "refused-by-peer"
    judge = {
        "expired": _expired,
        "mismatch": _mismatch,
        "unreadable": _unreadable,
        "untrusted": _untrusted,
        "refused-by-peer": _refused_by_peer,
    }[problem]
    what, fixes = judge(words, said, whole, f"{host}:{port}" if host and port else host)
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because {what}: {short(said.line)}.",
        quoted=(said.line,),
        fix=fixes,
        details={"problem": problem, **({"server": host} if host else {})},
    )


_HOST = lazy(r"https?://(?P<host>\[[0-9a-fA-F:]{2,45}\]|[\w.-]{1,253})(?::(?P<port>\d{1,5}))?")
_DIALLED = lazy(
    r"(?:certificate for|host(?:name)?[= :'\"]{1,3}|dial tcp"
    r"|connect(?:ing)? to)\s?'?(?P<host>[\w.-]{1,253})(?::(?P<port>\d{1,5}))?"
)
# The other side reports over TLS what it thinks of the certificate that this program showed.
_PEER = lazy(
    r"remote error: tls|alert (?:bad certificate|unknown ca|certificate required)|tlsv1\d? alert"
    r"|bad_certificate|unknown_ca"
)
_NAMES = lazy(
    r"certificate is valid for (?P<names>[\w.*, :-]{1,400}), not (?P<wanted>[\w.:-]{1,253})"
    r"|altnames?: (?P<alt>[^\n]{1,300})"
)
_CLOCK = lazy(r"current time (?P<now>\S{19,30}) is (?P<side>after|before) (?P<limit>\S{19,30})")


def _server(words: LastWords, line: str) -> tuple[str, str]:
    """Return the host and port of the server whose certificate is meant; empty when the line does not tell."""
    match = _HOST.search(line) or _DIALLED.search(line)
    if match is not None and match["host"]:
        scheme = "443" if match.re.pattern == _HOST.pattern else ""
        return match["host"].strip("[]").rstrip("."), match["port"] or scheme
    return next(((a.host, str(a.port or "")) for a in words.addresses if a.host), ("", ""))


def _look(words: LastWords, server: str) -> tuple[str, ...]:
    """Write the command that shows which certificate the server gives."""
    host, _, port = server.rpartition(":") if ":" in server else (server, "", "443")
    if not host:
        return ()
    case = words.case
    return (
        kubectl(
            "run",
            "tls-look",
            "--rm",
            "-i",
            "--restart=Never",
            "--image=alpine/openssl",
            "--",
            "s_client",
            "-showcerts",
            "-connect",
            f"{host}:{port}",
            "-servername",
            host,
            namespace=case.pod.namespace,
        ),
    )


def _owner(server: str) -> str:
    host = server.rpartition(":")[0] or server
    return f"the server {server}" if host else "the server"


def _in_cluster(server: str) -> bool:
    host = server.rpartition(":")[0] or server
    return ".svc" in host or "." not in host or host.startswith(("10.", "172.", "192.168.", "kubernetes"))


def _expired(words: LastWords, _: Said, whole: str, server: str) -> tuple[str, tuple[Fix, ...]]:
    clock = _CLOCK.search(whole)
    limit = clock["limit"] if clock else ""
    early = (clock is not None and clock["side"] == "before") or "not yet valid:" in whole.lower()
    what = f"the certificate of {_owner(server)} " + (
        (f"is valid only from {limit}" if early else f"expired at {limit}")
        if limit
        else "is outside its time of validity"
    )
    renew = (
        operator(
            "Renew the certificate; with cert-manager look why it was not renewed (Certificate, "
            "CertificateRequest), then "
            "restart what serves it.",
            kubectl("get", "certificates", "-A"),
            *_look(words, server),
        )
        if _in_cluster(server)
        else cloud(f"Renew the certificate on {server or 'the server'}, with its whole chain.", *_look(words, server))
    )
    time_ = node(
        f"If its dates are right, the clock of {place(words)} is not: compare it, and repair chrony or ntpd.",
        on_node(words, "date", "-u"),
    )
    return what, (time_, renew) if early else (renew, time_)


# client-go's requests to the API server, at the address of its own Service.
_OF_THE_API = lazy(r"https://(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?/(?:apis?/|version\b|healthz|readyz)")


def _api_server(words: LastWords, whole: str, server: str) -> tuple[str, tuple[Fix, ...]]:
    """Judge the API server's own certificate, which does not hold the address at which pods reach it."""
    names = _NAMES.search(whole)
    held = (names["names"] or "").strip() if names else ""
    host = server.rpartition(":")[0] or server
    shown = f" (it has {held})" if held else ""
    return f"the API server's certificate is not for {host}, at which pods reach it{shown}", (
        operator(
            f"See which address Service kubernetes has. If it is {host}: make the API server's certificate anew "
            "with it. "
            "kubeadm: add it to apiServer.certSANs, move apiserver.crt and apiserver.key away, run this on each "
            "control-plane node, and restart its kube-apiserver; k3s and RKE2: tls-san.",
            kubectl("get", "service", "kubernetes", "-o", "wide", namespace="default"),
            shell("kubeadm", "init", "phase", "certs", "apiserver", "--config", "kubeadm.yaml"),
        ),
        manifest(
            words,
            f"If Service kubernetes has another address (the service range was changed): {where(words)} holds the "
            "old one. "
            "Delete the pod, and correct KUBERNETES_SERVICE_HOST where it is set by hand.",
            None,
            kubectl("delete", "pod", words.case.pod.name, namespace=words.case.pod.namespace),
        ),
    )


def _mismatch(words: LastWords, _: Said, whole: str, server: str) -> tuple[str, tuple[Fix, ...]]:
    if _OF_THE_API.search(whole):
        return _api_server(words, whole, server)
    names = _NAMES.search(whole)
    held = (names["names"] or names["alt"] or "").strip() if names else ""
    shown = f" (it has {held})" if held else ""
    dialled = server or "the name that was dialled"
    connect = manifest(
        words,
        f"Connect by a name that is in the certificate{shown}: change the address in the settings of "
        f"{where(words)}; an IP "
        "address needs an IP subjectAltName.",
        None,
        *_look(words, server),
    )
    issue = operator(
        f"Or issue the certificate with {server.rpartition(':')[0] or dialled} as subjectAltName "
        "(dnsNames of the Certificate: "
        "NAME, NAME.NAMESPACE.svc)."
    )
    return f"the certificate is for another name than {dialled}{shown}", (connect, issue)


def _unreadable(words: LastWords, said: Said, whole: str, _: str) -> tuple[str, tuple[Fix, ...]]:
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    held = volume_words(found[1]) if found is not None else "the Secret or file"
    password = "password" in whole.lower() or "tampered" in whole.lower()
    first = (
        manifest(
            words, f"The password of the key store does not fit: compare its setting in {where(words)} with {held}."
        )
        if password
        else manifest(
            words,
            f"Put a PEM certificate and the key that belongs to it into {held}: the two public keys must be equal.",
            None,
            shell("openssl", "x509", "-in", "tls.crt", "-noout", "-pubkey"),
            shell("openssl", "pkey", "-in", "tls.key", "-pubout"),
        )
    )
    return "the certificate or its key cannot be used" + (f" ({path})" if path else ""), (first,)


_SQL_CLIENT = lazy(r"SqlClient\b|ODBC Driver 1[89] for SQL Server|com\.microsoft\.sqlserver|provider: TCP Provider")


def _untrusted(words: LastWords, _: Said, __: str, server: str) -> tuple[str, tuple[Fix, ...]]:
    what = f"no authority that the container trusts signed the certificate of {_owner(server)}"
    mounted = manifest(
        words,
        f"Mount the CA (key ca.crt) of {server or 'the server'} into {where(words)} and name it: SSL_CERT_FILE, "
        "NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE, a trust store.",
        None,
        *_look(words, server),
    )
    host = server.rpartition(":")[0] or server
    if host.startswith("kubernetes") or "/api" in server:
        return what, (
            operator(
                "Let it use the CA of the ServiceAccount "
                "(/var/run/secrets/kubernetes.io/serviceaccount/ca.crt); if it does, the "
                "cluster's CA was changed: delete the pod to get the new one."
            ),
        )
    if _SQL_CLIENT.search(words.text[-65536:]):
        # Microsoft's drivers encrypt by default since SqlClient 4.0, ODBC Driver 18 and JDBC 10.2.
        return what, (
            manifest(
                words,
                "SQL Server has most likely the certificate that it made itself, and the driver encrypts and checks by "
                "default since SqlClient 4.0 (ODBC Driver 18, JDBC 10.2). Give the server one of an authority that the "
                f"program trusts, and mount its CA into {where(words)}.",
            ),
            manifest(
                words,
                f"Inside a network that you trust: TrustServerCertificate=True in the connection string of "
                f"{where(words)} (JDBC: trustServerCertificate=true); the traffic stays encrypted.",
                None,
                kubectl(
                    *("set", "env", f"pod/{words.case.pod.name}", "-c", words.container.name, "--list"),
                    namespace=words.case.pod.namespace,
                ),
            ),
        )
    if server and not _in_cluster(server):
        return what, (
            image(
                f"If the certificate is a public one, image {words.container.image} lacks "
                "ca-certificates: install and update it."
            ),
            mounted,
            cloud(
                "A proxy or firewall that opens TLS shows its own certificate: its CA belongs into "
                "the image or a mount."
            ),
        )
    return what, (
        mounted,
        operator(
            "The signer's CA stands in the Secret of the server's certificate (cert-manager: "
            "ca.crt); trust-manager can "
            "spread it.",
            kubectl("get", "certificates,secrets", namespace=words.case.pod.namespace),
        ),
    )


def _refused_by_peer(words: LastWords, _: Said, __: str, server: str) -> tuple[str, tuple[Fix, ...]]:
    return f"{_owner(server)} refused the certificate that {words.container.name} showed, or missed one (mutual TLS)", (
        manifest(
            words,
            f"Give {where(words)} a client certificate that the server's CA signed, with its key; an "
            "old one is left after the "
            "CA was renewed.",
            None,
            *restart(words),
        ),
        operator("Or the other side does not trust the CA yet: its trust bundle must hold the CA that signed it."),
    )
