"""The logs of the control plane's components: in come texts in any wrapping, out go the lines that name a cause.

Read are the logs of the API server, the controller-manager and the scheduler, the one journal of a k3s, RKE2, k0s or
MicroK8s process with everything in it, and journals of machines. What etcd itself says is read by ``etcd_log``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from kubetriage.needs import Log
from kubetriage.readers.outer_layers import KLOG, Line, message_of, peeled
from kubetriage.records import dataclass
from kubetriage.rules.plane.stored_keys import UNREADABLE
from kubetriage.snapshot import Snapshot
from kubetriage.values.fields import Obj, name_of, namespace_of, objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.times import parse_go_duration

API_SERVER = "kube-apiserver"
ONE_PROCESS = (
    "k3s",
    "k3s-server",
    "rke2-server",
    "rke2",
    "k0scontroller",
    "k0s",
    "kubelite",
    "k3s-agent",
    "rke2-agent",
)
"""Units and containers in whose one log every component of a control plane stands."""
PLAIN = tuple(
    Log("kube-system", name, name)
    for name in (
        *(API_SERVER, "kube-controller-manager", "kube-scheduler", "cloud-controller-manager", *ONE_PROCESS),
        *("kubectl", "kubeadm", "etcdctl"),
    )
)
"""Logs of processes under a component's plain name, as a recording may hold them, and what tools said."""


@dataclass(frozen=True)
class Remark:
    """One line of a log that matters."""

    at: datetime
    kind: str
    """One of the names of :data:`KINDS`."""
    about: str
    """What the line is about: an address, a webhook, a lease, an aggregated API, a certificate's end."""
    words: str
    """The line in its program's words, without header."""
    source: str
    """Whose log it is."""
    seconds: float = 0.0
    """For something slow: how long it took."""


@dataclass(frozen=True)
class ComponentLog:
    """One log, read."""

    source: str
    remarks: tuple[Remark, ...]
    lines: int
    understood: int
    """How many lines are of a form that a component of Kubernetes, etcd, k3s or containerd writes."""
    head: str
    """The first line."""
    unit: str
    """The unit whose journal it is, where the lines name one."""
    last: datetime | None

    @property
    def unread(self) -> bool:
        """Nothing of it was understood."""
        return self.lines > 0 and not self.understood


_Make = Callable[["re.Match[str]"], tuple[str, float]]


def _first(match: re.Match[str]) -> tuple[str, float]:
    return next((g for g in match.groups() if g), ""), 0.0


def _took(match: re.Match[str]) -> tuple[str, float]:
    took = parse_go_duration(match[1])
    return "", took.total_seconds() if took else 1.0


def _whole(match: re.Match[str]) -> tuple[str, float]:
    return match[0], 0.0


def _changed(match: re.Match[str]) -> tuple[str, float]:
    return f"{match[1]} {match[2]}", 0.0


def _conversion(match: re.Match[str]) -> tuple[str, float]:
    return f"{match[2]}.{match[1].partition('/')[0]}", 0.0


def _key(match: re.Match[str]) -> tuple[str, float]:
    return match["key"] or "", 0.0


KINDS: tuple[tuple[str, re.Pattern[str], _Make], ...] = (
    # apiextensions-apiserver pkg/apiserver/conversion: quoted by whoever lists objects of that CRD.
    ("conversion", lazy(r"conversion webhook for (\S+?), Kind=(\w+) failed: "), _conversion),
    # Before the key service: these reasons are about keys that are configured, not about who holds them.
    ("stored key", UNREADABLE, _key),
    # apiserver/pkg/storage/value/encrypt/envelope and its health checks, KMS v1 and v2.
    (
        "key service",
        lazy(
            r"kms-providers?(?:-\d+)?:? (?:check )?failed|unable to transform key|KMS Provider \S+, error"
            r"|kms\S{0,253}\.sock\S{0,40}.{0,160}connect: |failed to (?:encrypt|decrypt) (?:DEK|.{0,30}KMS)"
        ),
        _first,
    ),
    # apiserver/plugin/pkg/authenticator/token/oidc and webhook, pkg/authorizer/webhook.
    (
        "authenticator",
        lazy(
            r"oidc authenticator: initializing plugin: (?:\w+ \\?\"https?://([^/\"\\]+))?|oidc: authenticator not"
            r" initialized|Failed to make webhook authenticator request: (?:\w+ \\?\"https?://([^/\"\\]+))?"
            r"|[Ff]ailed to make webhook authorizer request: (?:\w+ \\?\"https?://([^/\"\\]+))?"
        ),
        _first,
    ),
    (
        "token key",
        lazy(
            r"invalid bearer token.{0,160}(?:error in cryptographic primitive|verification error|unknown key)"
            r"|(?:crypto/rsa|crypto/ecdsa): verification error"
        ),
        _first,
    ),
    (
        "etcd trust",
        lazy(
            r"(?:createTransport|:2379|etcd).{0,300}(?:handshake failed|remote error): .{0,80}(?:bad certificate"
            r"|unknown (?:certificate )?authority|signed by unknown authority)"
        ),
        _first,
    ),
    ("certificate names", lazy(r"x509: certificate is valid for .{1,200}?, not ([\w.:-]+)"), _first),
    # grpc-go addrConn.createTransport: '... dial tcp ADDRESS: connect: connection refused' (etcd's client).
    ("refused", lazy(r"createTransport failed to connect to .*dial tcp (\S+): connect: connection refused"), _first),
    ("refused", lazy(r"dial tcp (\S+:2379): connect: connection refused"), _first),
    (
        "unreached",
        lazy(
            r"createTransport failed to connect to .*dial tcp (\S+): "
            r"(?:i/o timeout|connect: (?:no route to host|connection timed out|network is unreachable))"
        ),
        _first,
    ),
    # etcd api/v3rpc/rpctypes/error.go, quoted by the API server in many sentences of its own; kine and k3s quote both.
    (
        "full",
        lazy(r"etcdserver: mvcc: database space exceeded|etcdserver: no space|alarm:NOSPACE|alarm ?list.*NOSPACE"),
        _first,
    ),
    # apiserver/pkg/admission/plugin/webhook dispatchers: "Failed calling webhook, failing closed NAME: ...".
    # What a client is told of a call that failed closed, quoted by controllers and by the API server about itself.
    (
        "webhook",
        lazy(
            r"[Ff]ailed calling webhook, failing closed ([^:\s]+)"
            r"|Internal error occurred: failed calling (?:admission )?webhook \\?\"([\w.-]+)"
        ),
        _first,
    ),
    # apiserver/pkg/endpoints/filters/authentication.go and crypto/x509, all versions.
    (
        "client certificate",
        lazy(
            r"Unable to authenticate the request.*x509: certificate has expired or is not "
            r"yet valid:(?!.* is before )(?:.* is after (\S+?)\W*\Z)?"
        ),
        _first,
    ),
    (
        "client clock",
        lazy(
            r"Unable to authenticate the request.*x509: certificate has expired or is not yet valid: .*is before (\S+)"
        ),
        _first,
    ),
    (
        "client authority",
        lazy(r"Unable to authenticate the request.*x509: certificate signed by unknown authority"),
        _first,
    ),
    # The other side of a TLS connection that fails: etcd's server certificate, or the API server's own.
    (
        "etcd certificate",
        lazy(
            r"(?:etcd|2379|createTransport|embed/config_logging|rejected connection).{0,600}x509: certificate has "
            r"expired or is not yet valid"
        ),
        _first,
    ),
    (
        "serving certificate",
        lazy(
            r"(?:(?:Get|Put|Post|Patch|List|dial|lookup)\b.{0,400}|Unable to connect to the server: .{0,60})"
            r"x509: certificate has expired or is not yet valid"
        ),
        _first,
    ),
    # kubeadm certs check-expiration: a row of its table.
    ("ended certificate", lazy(r"\A([a-z][\w.-]+) +\w{3} \d\d, \d{4} \d\d:\d\d \w+ +<invalid>"), _first),
    # k3s-io/k3s pkg/etcd: the address under which the member is known is not the server's any more.
    (
        "member address",
        lazy(r"not a member of the etcd cluster\. Found \[([^\]]{0,400})\], expect: ([^\s\"]{1,200})"),
        _changed,
    ),
    # lib/pq, pgx and go-sql-driver in kine: the SQL datastore refuses or is not reached.
    (
        "sql refused",
        lazy(
            r"pq: (?:sorry, too many clients|remaining connection slots|password authentication|the database system is"
            r"|no pg_hba\.conf entry|could not|cannot execute)[^\"\\]{0,80}"
            r"|FATAL: [^\\]{0,120}\(SQLSTATE \w{5}\)|Error 1\d{3}(?: \(\w{5}\))?: [^\"\\]{0,120}"
            r"|dial tcp \S+:(?:5432|3306): [^\"\\]{0,60}"
        ),
        _whole,
    ),
    # canonical/k8s-dqlite: no member leads.
    ("dqlite", lazy(r"no available dqlite leader server found|dqlite.{0,60}(?:no known leader|not leader)"), _whole),
    # net/http server and crypto/tls alerts: what a client says of the API server's certificate.
    (
        "tls refused",
        lazy(r"http: TLS handshake error from (\S+?):? remote error: tls: (?:expired|bad|unknown) certificate"),
        _first,
    ),
    # client-go/tools/leaderelection and the components' own last words, 1.18 to 1.37.
    ("election lost", lazy(r"leaderelection (?:lost|stopped)|leader election lost"), _first),
    ("renewal failed", lazy(r"[Ff]ailed to renew lease (\S+?):? "), _first),
    (
        "renewal failed",
        lazy(
            r"(?:error retrieving|[Ff]ailed to update|[Ff]ailed to acquire) (?:resource )?lock:? ?"
            r"(?:(\S+/\S+?): |.*leases/([\w-]+))"
        ),
        _first,
    ),
    # k3s-io/kine pkg/server and pkg/drivers/generic.
    ("slow sql", lazy(r"Slow SQL ?\(.{0,200}?total time: ([\w.\u00b5]+)\)"), _took),
    ("database locked", lazy(r"database is locked"), _first),
    ("compaction failed", lazy(r"[Cc]ompact(?:ion)? failed:? (.{0,200})"), _first),
    # konnectivity-server: no agent holds a tunnel into the cluster's network.
    ("no agent", lazy(r"No agent available|no agent(?:s)? (?:is |are )?(?:available|connected)"), _first),
    # kube-aggregator: available_controller.go and openapi.
    (
        "aggregated api",
        lazy(
            r"(?:Error updating APIService|APIService|OpenAPI spec for|failed with:|request header)[^v]{0,40}"
            r'"?(v\d\w*\.[\w.-]+\.[\w.-]+)"? ?(?:with err|failed with|:)'
        ),
        _first,
    ),
    # apiserver/pkg/storage/cacher (1.31 and later): the watch cache was thrown away and cannot be filled.
    ("reinitializing", lazy(r"storage is \(re\)initializing"), _first),
    (
        "etcd timeout",
        lazy(r"etcdserver: (?:request timed out|leader changed|no leader)[\w ,]*|code = DeadlineExceeded"),
        _first,
    ),
    # Another component of the control plane cannot reach the API server.
    (
        "api refused",
        lazy(r"dial tcp (\S+:(?:6443|16443|8443|443)): connect: (?:connection refused|no route to host)"),
        _first,
    ),
    # The end of a process in its own words: logrus and zap at level fatal, klog F, and since 1.23 cobra's last error.
    (
        "fatal",
        lazy(
            r'\A(?:F\d{4} .*?\] (?!"?leaderelection)|time="[^"]{1,40}" level=(?:fatal|panic) msg='
            r"|panic: |Error: )(.{1,300})"
            r'|"command failed" err="(?!leader)(.{1,300})"'
        ),
        _first,
    ),
)
"""What is looked for: name, pattern, and how the pattern's groups become what the line is about."""

_KNOWN = lazy(r'\{"level"|time="|\{"ts"|\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d|panic: |goroutine |\s|\d{4}\.')
_WORTH = lazy(
    r"dial tcp|handshake|etcdserver|NOSPACE|webhook|x509|leader ?election|renew|lock|SQL|database|ompact|gent|"
    r"APIService|OpenAPI|initializing|Deadline|onversion|kms|KMS|transform key|bearer token|verification error|"
    r"authorizer|fatal|panic|\AF\d{4}|\AError: |command failed|<invalid>|etcd cluster|pq: |SQLSTATE|Error 1\d{3}|dqlite"
)
_TOOLS = ("kubectl", "kubeadm", "etcdctl")


def read_component_log(source: str, content: str, now: datetime) -> ComponentLog:
    """Read one log; ``now`` completes times without a year."""
    remarks: list[Remark] = []
    total = understood = 0
    head = unit = ""
    last = untimed = None
    if source in _TOOLS:
        last = now
    for line in peeled(content, now):
        total, head, unit = total + 1, head or line.text, unit or line.unit
        if KLOG.match(line.text) or _KNOWN.match(line.text):
            understood += 1
        last = line.at or last
        known = list(_remarks(line, last, source)) if last is not None and _WORTH.search(line.text) else []
        remarks.extend(known)
        if last is not None and not known and _ERROR.match(line.text):
            remarks.append(Remark(last, "error", _shape(line.text), said(line.text), source))
        if last is None and line.text.startswith("Error: "):
            untimed = line
    if last is None and untimed is not None:
        # A wrong flag ends a component before its logger begins: the whole log has no time.
        remarks.extend(_remarks(untimed, now, source))
    return ComponentLog(source, tuple(remarks), total, understood, head, unit, last)


# Lines of klog, zap and logrus that their program calls errors.
_ERROR = lazy(r'[EF]\d{4} |\{"level": ?"(?:error|fatal|panic)"|time="[^"]{1,40}" level=(?:error|fatal|panic) ')
_VARYING = lazy(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+")


def _shape(row: str) -> str:
    """Return a line without what varies from one to the next of its kind: numbers, identifiers, times."""
    return _VARYING.sub("#", said(row))[:90]


_ALONE = (
    *("conversion", "stored key", "key service", "authenticator", "token key", "etcd trust"),
    *("client certificate", "client clock", "client authority", "etcd certificate"),
)
"""Kinds whose line says nothing else: the address or certificate in it is that of what the kind is about."""


def _remarks(line: Line, at: datetime, source: str) -> Iterator[Remark]:
    told = set()
    for kind, pattern, make in KINDS:
        if kind in told:
            continue
        found = pattern.search(line.text)
        if found is not None:
            told.add(kind)
            about, seconds = make(found)
            yield Remark(at, kind, about, said(line.text), source, seconds)
            if kind in _ALONE:
                return


def said(row: str) -> str:
    """Return a line without its header: what the program says, not when and where."""
    klog = KLOG.match(row)
    return (row[klog.end() :] if klog else message_of(row)).strip()[:400]


def log_needs(pods: Iterable[Obj], container: str, *, previous: bool = False) -> tuple[Log, ...]:
    """Return the needs of the logs of one component's pods."""
    found = []
    for pod in pods:
        names = [text(c, "name") for c in objects(pod, "spec", "containers")]
        chosen = container if container in names else (names or [container])[0]
        found.append(Log(namespace_of(pod), name_of(pod), chosen, previous))
    return tuple(found)


def kept_logs(case_pods: Iterable[tuple[str, Obj]], snapshot: Snapshot) -> tuple[Log, ...]:
    """Return the needs of the logs of components that a recording holds; a live cluster is asked for what matters."""
    if snapshot.source == "cluster":
        return ()
    wanted = [n for name, pod in case_pods for before in (True, False) for n in log_needs([pod], name, previous=before)]
    return tuple(n for n in wanted if snapshot.has_log(n))


def plain_logs(snapshot: Snapshot) -> tuple[Log, ...]:
    """Return the logs under plain names that a recording holds, and those of pods that no list of it names."""
    plain = [need for need in PLAIN if need.pod in snapshot.logged(need.namespace, need.container)]
    known = {name_of(p) for p in snapshot.list("pods", "kube-system").items}
    for name in (API_SERVER, "kube-controller-manager", "kube-scheduler"):
        for pod in snapshot.logged("kube-system", name):
            if pod not in known and pod != name:
                plain += [Log("kube-system", pod, name, previous) for previous in (True, False)]
    return tuple(plain)


def read_component_logs(snapshot: Snapshot, needs: Iterable[Log]) -> tuple[ComponentLog, ...]:
    """Read the logs that were seen, and the journals of machines."""
    found = []
    for need in dict.fromkeys((*needs, *plain_logs(snapshot))):
        log = snapshot.log(need.namespace, need.pod, need.container, need.previous)
        if log.seen:
            source = need.pod + (" (previous)" if need.previous else "")
            found.append(read_component_log(source, log.text, snapshot.now))
    for journal in snapshot.node_logs():
        found.append(read_component_log(journal.node or journal.source, journal.text, snapshot.now))
    return tuple(found)
