"""The addresses that a program could not reach or use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.readers.logs.levels import level_of
from kubetriage.readers.logs.stacks import FRAME, NODE_FIELD, read_head
from kubetriage.readers.logs.text import FAR, Log, read_lines
from kubetriage.records import dataclass, replace
from kubetriage.typed import Any, Literal
from kubetriage.values.patterns import lazy


@dataclass(frozen=True)
class Address:
    """An address that a program could not use."""

    host: str
    """Name or IP address without brackets; empty when the line names none."""
    port: int | None
    kind: Literal["refused", "timeout", "unresolved", "reset", "unreachable", "unauthorized", "failed"]
    """``failed``: only that it failed is said, not why."""
    line: str
    """The line that says so."""
    at: int
    """Number of that line in the text, from 0; the last one where several say so."""
    times: tuple[int, ...] = ()
    """Numbers of all lines that say so, bounded to the last fifty."""


# strerror, errno names, and the words of clients that replace them.
_KINDS: tuple[tuple[Any, re.Pattern[str]], ...] = (
    (
        "unresolved",
        lazy(
            r"no such host|Name or service not known|\bname resolution"
            r"|epmd error for host \S{1,253}: nxdomain|(?-i:ENOTFOUND|EAI_AGAIN|EAI_NONAME"
            r"|NXDOMAIN)|UnknownHost"
            r"|could not translate host|nodename nor servname|getaddrinfo (?:for \S+ )?failed|host not found"
            r"|Name does not resolve|No address associated|lookup address information|server misbehaving"
            r"|Unknown (?:MySQL )?server host|host is known|bad address|NameResolutionError|<unresolved>|Unknown host"
            r"|No resolvable bootstrap|because it's not resolvable|DNS query name does not exist"
            # Go: the resolver itself did not answer.
            r"|\blookup [\w.-]{1,253}(?: on \S{1,60})?: (?:read|write|dial) udp"
            # Much else is "resolved" too: placeholders, modules, services of a container.
            r"|(?:could ?n[o']t|can(?:no|')t|unable to|failed to) resolve (?:the )?(?:host|server|address"
            r"|domain|name\b|ip\b|dns\b"
            r"|'[\w.-]{1,253}' [\[(]|['\"]?[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}['\"]?(?::\d| \())",
            re.IGNORECASE,
        ),
    ),
    (
        "unauthorized",
        lazy(
            r"password authentication failed|Access denied for user|\bNOAUTH\b|WRONGPASS"
            r"|invalid username-password|ACCESS_REFUSED"
            r"|authentication (?:failed|failure|error|required|unsuccessful)|SaslAuthentication|login failed"
            r"|ORA-01017|no pg_hba\.conf entry"
            r"|ER_ACCESS_DENIED|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidClientTokenId|\bExpiredToken"
            r"|UNAUTHENTICATED"
            r"|code = Unauthenticated|role \"[^\"]{1,80}\" does not exist|\b401 Unauthorized"
            r"|status(?:[ _]code)?[ :=]{1,3}401\b|\(401\)"
            r"|invalid_client|AuthenticationFailed|Logon failure|AccessRefused|bad username or password"
            r"|HTTP 401|\b401 Client Error|AccessDenied: Access Denied"
            r"|not authorized to (?:access|perform|execute)|NOPERM|invalid credentials|Bad credentials"
            r"|AuthorizationException|UnrecognizedClientException|Access Key Id you provided does not"
            r"|\(AccessDenied(?:Exception)?\) when calling"
            r"|could not read (?:Username|Password) for|Permission denied \(publickey|HTTP Basic: Access denied"
            r"|username or password (?:is )?(?:not allowed|incorrect|invalid)|returned error: 401\b|Code: 403\. Errors",
            re.IGNORECASE,
        ),
    ),
    (
        "refused",
        lazy(
            r"connection refused|(?-i:ECONNREFUSED)|actively refused|\(111\b|Errno 111|Error 111|Connect call failed"
            r"|Connection to \S{1,300}"
            r" refused|could not be established\. (?:Broker|Node) may not be available|Connection refused",
            re.IGNORECASE,
        ),
    ),
    (
        "unreachable",
        lazy(
            r"no route to host|(?-i:EHOSTUNREACH|ENETUNREACH)|network is unreachable|host is (?:unreachable|down)",
            re.IGNORECASE,
        ),
    ),
    (
        "timeout",
        lazy(
            r"connection timed out|connect(?:ion)? timed? ?out|(?-i:ETIMEDOUT)|i/o timeout|operation timed out"
            r"|timeout expired"
            r"|ConnectTimeout|SocketTimeoutException|timed out (?:connecting|while connecting"
            r"|trying to connect)|connect ETIMEDOUT"
            r"|context deadline exceeded|(?:connecting|connect|connection) to .{1,300}timed? ?out"
            r"|Timeout(?:Error)? .{0,80}connect"
            r"|time(?:d |-)?out\b.{0,60}\bwaiting\b.{0,40} for (?:\w{2,12}://)?[\w.-]{1,253}:\d{2,5}\b"
            r"|connection timeout|Timed out after \d+ ms while waiting|server selection timed? ?out"
            r"|Timed out waiting for a node assignment",
            re.IGNORECASE,
        ),
    ),
    (
        "reset",
        lazy(
            r"connection reset|(?-i:ECONNRESET)|socket hang up|server closed the connection unexpectedly"
            r"|forcibly closed|Lost connection to MySQL"
            r"|code = Unavailable|StatusCode\.UNAVAILABLE|UNAVAILABLE: |Broken pipe|(?-i:EPIPE)",
            re.IGNORECASE,
        ),
    ),
    # Only that it failed: the words of clients that keep the reason to themselves.
    (
        "failed",
        lazy(
            r"(?:could not|couldn't|cannot|can't|unable to|failed to|not possible to) "
            r"(?:connect\b|establish (?:a |the )?connection|reach\b)"
            # kafka-python, librdkafka, pika
            r"|NoBrokersAvailable|brokers? (?:are|is) down|AMQPConnectionError|KEEPER_EXCEPTION|ConnectionLossException"
            r"|Coordination::Exception: Connection loss",
            re.IGNORECASE,
        ),
    ),
)
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63}){0,8}"
V6 = r"\[[0-9A-Fa-f:.]{2,45}(?:%\w{1,16})?\]"
HOST = rf"(?:{V6}|{_NAME})"
# Forms that name both sides of a sentence; each gives host and perhaps port. The most telling first.
_FORMS: tuple[re.Pattern[str], ...] = (
    # Go: dial tcp: lookup HOST on RESOLVER:53: no such host (the resolver is not the address that failed)
    lazy(r"\blookup (?P<host>[\w.-]{1,253})(?= on |: |\Z)"),
    lazy(r"epmd error for host (?P<host>[\w.-]{1,253})"),
    lazy(rf"\bdial (?:tcp|udp)[46]? (?P<host>{HOST}):(?P<port>\d{{1,5}})"),
    # Node: connect ECONNREFUSED 10.0.0.1:5432, connect ECONNREFUSED ::1:5432, getaddrinfo ENOTFOUND db [db:5432]
    lazy(
        r"\b(?:connect|read|write) E[A-Z]{3,14} (?P<host>[0-9A-Fa-f:.]{2,45}?"
        r"|[\w.-]{1,253}):(?P<port>\d{1,5})(?!\S*:\d)"
    ),
    lazy(r"\b(?:getaddrinfo|query\w{0,8}) E[A-Z_]{3,14} (?P<host>[\w.-]{1,253})(?::(?P<port>\d{1,5}))?"),
    # libpq: connection to server at "db" (10.0.0.1), port 5432 failed; host "db" (..) ... port 5432
    lazy(r"server at \"(?P<host>[^\"\s]{1,253})\"(?: \([^)]{1,60}\))?, port (?P<port>\d{1,5})"),
    lazy(r"host name \"(?P<host>[^\"\s]{1,253})\" to address"),
    # pymongo: a SRV record
    lazy(r"query name does not exist: (?:_\w{1,15}\._\w{1,15}\.)?(?P<host>[\w.-]{1,253})"),
    lazy(r"on host \"(?P<host>[^\"\s]{1,253})\".{0,200}?port (?P<port>\d{1,5})", re.DOTALL),
    # MySQL: Can't connect to MySQL server on 'db:3306' (111), Unknown MySQL server host 'db'
    lazy(r"server (?:host|on) '(?P<host>[\w.:-]{1,253}?)(?::(?P<port>\d{1,5}))?'"),
    # urllib3: HTTPConnectionPool(host='api', port=8080)
    lazy(r"host='(?P<host>[^'\s]{1,253})',? port=(?P<port>\d{1,5})"),
    # aiohttp, redis-py: Cannot connect to host api:8080, connecting to redis:6379
    lazy(
        rf"(?:to host|connecting to|connect to|connection to|Failed to connect to|Connect to"
        rf"|reach) (?:\w{{2,12}}://)?(?P<host>{HOST}):(?P<port>\d{{1,5}})\b",
        re.IGNORECASE,
    ),
    # nslookup, dig
    lazy(r"(?:can't|cannot|couldn't) find (?P<host>[\w.-]{1,253}): (?:NXDOMAIN|SERVFAIL|REFUSED|No answer)"),
    # curl: Failed to connect to api port 80; Could not resolve host: db
    lazy(r"connect to (?P<host>[\w.-]{1,253}) port (?P<port>\d{1,5})"),
    lazy(r"resolve host:? '?(?P<host>[\w.-]{1,253})"),
    # Ruby: connect(2) for "db" port 5432
    lazy(r"for \"(?P<host>[^\"\s]{1,253})\" port (?P<port>\d{1,5})"),
    # Java: UnknownHostException: db; Connection to db:5432 refused; kafka/10.0.0.1:9092; /10.0.0.1:5432
    lazy(
        r"UnknownHostException: (?:Failed to resolve '?)?(?P<host>[\w.-]{1,253})(?::(?P<port>\d{1,5}))?(?=[:\s'\")]|\Z)"
    ),
    lazy(
        r"(?<![\w./])(?P<host>[A-Za-z][\w.-]{0,252})/(?:<unresolved>|\d{1,3}(?:\.\d{1,3}){3}"
        r"|\[?[0-9a-f:]{2,45}\]?):(?P<port>\d{1,5})"
    ),
    lazy(r"(?<=[\s(:])/(?P<host>\d{1,3}(?:\.\d{1,3}){3}):(?P<port>\d{1,5})"),
    # .NET: Connection refused (db:5432)
    lazy(rf"\((?P<host>{HOST}):(?P<port>\d{{1,5}})\)"),
    # nginx, HAProxy, PHP, Go net/http resolver
    lazy(
        r"(?:upstream|resolve(?: address)?|getaddrinfo for|bad address|address of|Failed to resolve"
        r"|server) ['\"](?P<host>[\w.-]{1,253})(?::(?P<port>\d{1,5}))?['\"]",
        re.IGNORECASE,
    ),
    lazy(r"getaddrinfo for (?P<host>[\w.-]{1,253}) failed"),
    # Python: ('10.0.0.1', 5432), busybox nc: db (10.0.0.1:5432)
    lazy(r"\(['\"](?P<host>[\w.:-]{1,253})['\"], (?P<port>\d{1,5})"),
    lazy(r"(?:remote host|nc:) \(?(?P<host>[\w.-]{1,253})\)?(?= |:|\Z)"),
)
_URL = lazy(
    rf"(?:jdbc:)?(?P<scheme>[a-z][a-z0-9+]{{1,20}})(?::\w{{2,12}})?://(?:[^\s/@\"'<>]{{0,512}}@)?(?P<host>{HOST})(?::(?P<port>\d{{1,5}}))?",
    re.IGNORECASE,
)
_HOST_PORT = lazy(
    rf"(?<![\w./:@\[-])(?P<host>{V6}|(?:\d{{1,3}}\.){{3}}\d{{1,3}}|{_NAME}):(?P<port>\d{{2,5}})(?!\w|:\S|\.\d)"
)
_NODE_OBJECT = lazy(r"\s*(?P<key>address|hostname|host|port): '?(?P<value>[\w.:-]{1,253})'?,?\Z")
_SOURCE_FILE = lazy(
    r"\.(?:go|py|js|ts|mjs|cjs|jsx|tsx|java|kt|kts|scala|groovy|rb|rs|php|cs|fs|c|h|cc|cpp|hpp|pl|pm|sh|json"
    r"|ya?ml|conf|xml|ex|exs|erl|lua|sql|html|jar)\Z",
    re.IGNORECASE,
)
# Default ports of the schemes that services behind a name use (IANA, and the drivers' own).
_PORTS = {
    "http": 80,
    "ws": 80,
    "https": 443,
    "wss": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "redis": 6379,
    "rediss": 6379,
    "amqp": 5672,
    "amqps": 5671,
    "mongodb": 27017,
    "nats": 4222,
    "ldap": 389,
    "ldaps": 636,
    "sqlserver": 1433,
    "kafka": 9092,
    "clickhouse": 9000,
    "oracle": 1521,
    "memcached": 11211,
    "mqtt": 1883,
    "grpc": 443,
}


# One of these stands in every line that a pattern above can match.
_KIND_KEYS = (
    "host", "resol", "enotfound", "eai_", "nxdomain", "getaddrinfo", "lookup", "misbehaving", "address",
    "unrecognizedclient", "password for", "error: 401", "code: 403", "broker", "dns query",
    "bootstrap", "not known", "nodename", "auth", "denied", "wrongpass", "refused", "sasl", "login", "logon",
    "ora-01017", "pg_hba", "accesskey", "access key", "signature", "token", "role", "401", "invalid_client", "username",
    "credentials", "noperm", "111", "connect", "route", "unreach", "timed", "timeout", "deadline", "reset",
    "hang up", "closed", "unavailable", "pipe", "reach", "established",
)  # fmt: skip


def failure_kind(row: str) -> Any:
    """Return how a connection failed by the words of a line, as :attr:`Address.kind`; None when it tells of none."""
    low = row.lower()
    if not any(key in low for key in _KIND_KEYS):
        return None
    for kind, pattern in _KINDS:
        if pattern.search(row):
            return kind
    return None


def _valid(host: str, port: str | None) -> tuple[str, int | None] | None:
    host = host.strip("[]").rstrip(".").partition("%")[0]
    number = int(port) if port else None
    if not host or (number is not None and not 0 < number < 65536) or _SOURCE_FILE.search(host):
        return None
    if host.lower() in ("tcp", "udp", "unix", "host", "port", "line", "http", "https", "error", "errno"):
        return None
    if host.isdigit():
        return None
    return host, number


def _address_in(row: str) -> tuple[str, int | None] | None:
    """Find the address that a line is about."""
    row = row[:4096]
    best: tuple[str, int | None] | None = None
    for form in _FORMS:
        match = form.search(row)
        if match is not None and (found := _valid(match["host"], match.groupdict().get("port"))) is not None:
            best = found
            break
    for match in _URL.finditer(row):
        found = _valid(match["host"], match["port"] or str(_PORTS.get(match["scheme"].lower(), "")) or None)
        if found is not None and (best is None or (found[0] == best[0] and best[1] is None)):
            return found
    if best is not None:
        if best[1] is None:
            for match in _HOST_PORT.finditer(row):
                if match["host"].rstrip(".") == best[0]:
                    return best[0], int(match["port"])
        return best
    for match in _HOST_PORT.finditer(row):
        found = _valid(match["host"], match["port"])
        if found is not None:
            return found
    return None


def addresses(content: str) -> tuple[Address, ...]:
    """Return the connections that a log says failed, in order, each address and kind once, with its last line."""
    log = Log(read_lines(content))
    found: dict[tuple[str, int | None, str], Address] = {}
    for at, line in enumerate(log.lines):
        row = line.body
        kind = failure_kind(row[:4096])
        if kind is None:
            continue
        address = _address_in(row) or _address_near(log, at)
        host, port = address or ("", None)
        before = found.pop((host, port, kind), None)
        times = (*(before.times if before else ())[-49:], at)
        # A field of an object (code, errno) says less than the message before it.
        said = before.line if before and NODE_FIELD.match(row) else row.strip()[:2000]
        found[host, port, kind] = Address(host, port, kind, said, at, times)
        if len(found) > 200:
            found.pop(next(iter(found)))
    named = {(a.host, a.kind) for a in found.values() if a.port is not None}
    kept = [a for a in found.values() if a.port is not None or not a.host or (a.host, a.kind) not in named]
    return tuple(_with_reasons(kept))


def _with_reasons(found: list[Address]) -> Iterator[Address]:
    """Yield addresses; a line that only says that one failed counts for the line near it that says why."""
    bare = [a for a in found if a.kind == "failed" and a.host]
    told = [a for a in found if a.kind not in ("failed", "unauthorized")]
    for address in found:
        if address in bare:
            if not any(_beside(address, b) for b in told):
                yield address
        elif address in told:
            lines = {*address.times, *(at for a in bare if _beside(a, address) for at in a.times)}
            yield replace(address, times=tuple(sorted(lines)[-50:]))
        else:
            yield address


def _beside(one: Address, other: Address) -> bool:
    return one.host == other.host and abs(one.at - other.at) <= FAR


def _address_near(log: Log, at: int) -> tuple[str, int | None] | None:
    """Find the address in the lines that belong to the same error: its continuation, its object, its frames."""
    following = [log.body(i) for i in range(at + 1, min(at + 13, len(log.lines)))]
    host, port = "", None
    for row in following:
        match = _NODE_OBJECT.match(row)
        if match is not None:
            if match["key"] == "port" and match["value"].isdigit():
                port = int(match["value"])
            elif match["key"] != "port":
                host = host or match["value"]
    if host and (found := _valid(host, str(port) if port else None)) is not None:
        return found
    # libpq explains on the next lines
    joined = " ".join(row.strip() for row in following[:2] if row.startswith(" "))
    if joined and (found := _address_in(joined)) is not None:
        return found
    # The frames above the exception (Python shows their source) or the log line that opens the trace.
    for i in range(at - 1, max(at - 16, -1), -1):
        row = log.body(i)
        if row.lstrip().startswith(("Caused by", "--->")) or read_head(row):
            found = _address_in(row)
            if found is not None:
                return found
        if i < at - 1 and not row.startswith((" ", "Caused by", "Traceback")) and not read_head(row):
            return _address_in(row) if failure_kind(row) or level_of(row) in ("error", "fatal") else None
        if row.startswith(" ") and not FRAME.match(row):
            match = (
                re.search(r"\(['\"](?P<host>[\w.:-]{1,253})['\"], ?(?P<port>\d{1,5})", row)
                or re.search(rf"['\"](?P<host>{_NAME}):(?P<port>\d{{1,5}})['\",]", row)
                or _URL.search(row)
            )
            if match is not None and (found := _valid(match["host"], match["port"])) is not None:
                return found
    return None
