"""Errors that speak of memory which is not the container's: another server's, a GPU's, locked pages, a length misread.

A larger memory limit of the container that ended changes none of them.
"""

from __future__ import annotations

import re

from kubetriage.model import Evidence, RuledOut
from kubetriage.records import dataclass
from kubetriage.rules.crash.acts import app, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import added_capabilities
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

_HEAP_FULL = lazy(r"OutOfMemoryError: Java heap space")
_BROKER = lazy(r"\bkafka\.server\.|KafkaRaftServer|\[KafkaServer id=")
"""A broker reads what clients send, under a bound of its own."""
_SERVERS = lazy(r"bootstrap\.servers\s{0,3}[=:]\s{0,3}\[?([\w.:,\- ]{1,200})")
_PROTOCOL = lazy(r"security\.protocol\s{0,3}[=:]\s{0,3}(\w{1,20})")


def _kafka_length(words: LastWords, _: Said) -> Advice | None:
    """Judge a Kafka client that ran out of heap while it read the length of an answer: a TLS record, mostly."""
    if _HEAP_FULL.search(words.text) is None or _BROKER.search(words.text) is not None:
        return None
    servers, protocol = _SERVERS.findall(words.text), _PROTOCOL.findall(words.text)
    shown = f" ({servers[-1].strip()})" if servers else ""
    spoken = protocol[-1] if protocol else "PLAINTEXT, the default"
    return Advice(
        f"its Kafka client took the first bytes of a TLS answer for a length of hundreds of MiB: it speaks "
        f"{spoken} to a listener with TLS{shown}",
        (
            manifest(
                words,
                f"Set security.protocol of {where(words)} to SSL, or SASL_SSL where the broker wants a user, with a "
                "trust store for its certificate (Spring: SPRING_KAFKA_SECURITY_PROTOCOL; Connect: "
                "CONNECT_SECURITY_PROTOCOL and those of its producer and consumer). Or use the port of the "
                "plaintext listener.",
            ),
            app("A larger heap changes nothing: see which listener it is with openssl s_client -connect HOST:PORT."),
        ),
        tuple(Evidence("log", words.container.name, f"security.protocol = {p}") for p in protocol[-1:]),
        (RuledOut("RuntimeOutOfMemory", "the heap is asked for a length that no message has (KAFKA-4090)"),),
        details={"protocol": spoken},
        sure=False,
    )


@dataclass(frozen=True)
class _Server:
    """A server that tells its client that it is out of memory itself."""

    name: str
    images: re.Pattern[str]
    """Images of the server: there the words are its own."""
    pattern: re.Pattern[str]
    why: str
    act: str
    look: str


_SERVER_WORDS: tuple[_Server, ...] = (
    _Server(
        "Redis or Valkey",
        lazy(r"redis|valkey|keydb|dragonfly"),
        lazy(r"OOM command not allowed when used memory"),
        "its data have reached the server's maxmemory",
        "Raise maxmemory of that server (and its memory limit with it), give its keys a lifetime, or set "
        "maxmemory-policy allkeys-lru where it is a cache only",
        "redis-cli info memory: used_memory against maxmemory",
    ),
    _Server(
        "ClickHouse",
        lazy(r"clickhouse"),
        lazy(r"MEMORY_LIMIT_EXCEEDED|Memory limit \((?:total|for user|for query)\) exceeded"),
        "the server reached its own memory limit (code 241)",
        "Raise the memory limit of the ClickHouse server, or max_memory_usage where one query met it; else let the "
        "query do less at a time",
        "select query, formatReadableSize(memory_usage) from system.processes order by memory_usage desc",
    ),
    _Server(
        "Elasticsearch or OpenSearch",
        lazy(r"elasticsearch|opensearch(?!-dashboards)"),
        lazy(r"circuit_breaking_exception|CircuitBreakingException"),
        "its circuit breaker found the server's heap nearly full",
        "Give the server a larger heap (half of its memory limit), or send smaller requests (bulk size, aggregations)",
        "GET _nodes/stats/breaker",
    ),
    _Server(
        "PostgreSQL",
        lazy(r"postgres|postgis|timescale|spilo|cloudnative-pg|pgvector"),
        lazy(
            r"max_locks_per_transaction|(?:ERROR|FATAL|OutOfMemory):  ?out of (?:shared )?memory\b|PG::OutOfMemory"
            r"|psycopg2?\.errors\.OutOfMemory|SQLSTATE:? ?\[?53200"
        ),
        "a table or a memory area of the server is full",
        "'out of shared memory' with max_locks_per_transaction in its hint: raise that setting to 256 and restart the "
        "server, or touch fewer tables in one transaction. 'out of memory': lower work_mem or the number of "
        "connections, or raise the server's limit",
        "the log of the server at that time",
    ),
    _Server(
        "MySQL or MariaDB",
        lazy(r"mysql|mariadb|percona"),
        lazy(r"Out of sort memory, consider increasing server sort buffer size|\b1038\b[^\n]{0,40}Out of sort memory"),
        "a sort does not fit into the server's sort_buffer_size (error 1038)",
        "Raise sort_buffer_size of the server (256K by default; SET GLOBAL sort_buffer_size = 4194304 until its "
        "restart), or sort without large columns (JSON, TEXT), by an index",
        "show variables like 'sort_buffer_size'",
    ),
    _Server(
        "SQL Server",
        lazy(r"mssql|azure-sql-edge"),
        lazy(r"insufficient system memory in resource pool"),
        "the server's resource pool is full (error 701)",
        "Raise MSSQL_MEMORY_LIMIT_MB and the memory limit of the server",
        "select * from sys.dm_os_sys_memory",
    ),
    _Server(
        "MongoDB",
        lazy(r"mongo"),
        lazy(r"Exceeded memory limit for \$group|Sort exceeded memory limit of \d|QueryExceededMemoryLimitNoDiskUse"),
        "a stage of the query passes the 100 MB that the server gives it",
        "Sort and group by an index, or let the stage use the disk: allowDiskUse(true)",
        "explain() of that query",
    ),
)


def _of_server(words: LastWords, said: Said) -> Advice | None:
    """Judge what a client was told; a server that says so of itself is another matter."""
    server = next((s for s in _SERVER_WORDS if s.pattern.search(said.line)), None)
    if server is None or server.images.search(_image_name(words)):
        return None
    return Advice(
        f"the {server.name} server that it uses refused a request: {server.why}",
        (
            app(f"{server.act}. Look there first: {server.look}."),
            app(f"Let {words.container.name} try again later instead of ending, if that may happen under load."),
        ),
        ruled_out=(
            RuledOut("RuntimeOutOfMemory", f"the memory of the {server.name} server is meant, not that of the client"),
        ),
        details={"server": server.name},
    )


def _image_name(words: LastWords) -> str:
    return words.container.image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()


_ACCOUNTED_UNTIL = (5, 11)
"""From this kernel on, memory of BPF maps is charged to the memory cgroup, not to RLIMIT_MEMLOCK."""


def _locked_maps(words: LastWords, _: Said) -> Advice:
    """Judge a BPF map that was refused: RLIMIT_MEMLOCK on old kernels, a missing capability on newer ones."""
    kernel = text(words.case.node.obj, "status", "nodeInfo", "kernelVersion")
    match = re.match(r"(\d+)\.(\d+)", kernel)
    newer = match is not None and (int(match[1]), int(match[2])) >= _ACCOUNTED_UNTIL
    wanted = ["BPF", "PERFMON"] if newer else ["SYS_RESOURCE", "SYS_ADMIN"]
    has = {c.removeprefix("CAP_") for c in added_capabilities(words.container)}
    missing = [c for c in wanted if c not in has]
    seen = (Evidence("status", f"node/{words.case.pod.node} kernelVersion", kernel),) if kernel else ()
    if newer:
        what = f"the kernel of {place(words)} refused it a BPF map: since 5.11 not for locked memory, whatever the "
        what += "message says, but for a missing capability"
    else:
        what = "the kernel refused it a BPF map: its limit of locked memory (RLIMIT_MEMLOCK) is full"
    fixes = []
    if missing:
        names = " and ".join(missing)
        fixes.append(
            manifest(
                words,
                f"Give {where(words)} {names}, or run it privileged, as its own manifests do. It must run as root; "
                "namespaces that enforce baseline or restricted refuse it."
                + ("" if newer else " SYS_RESOURCE lets it raise the limit itself."),
                words.container.patch({"securityContext": {"capabilities": {"add": wanted}}}),
            )
        )
    if not newer:
        fixes.append(
            node(
                f"Or set LimitMEMLOCK=infinity for the container runtime of {place(words)}, and restart it.",
                on_node(words, "systemctl", "show", "containerd", "-p", "LimitMEMLOCK"),
            )
        )
    else:
        fixes.append(
            node(
                "With these it is the kernel's lockdown, a security module, or seccomp: its log tells.",
                on_node(words, "sh", "-c", "cat /sys/kernel/security/lockdown; dmesg | tail -20"),
            )
        )
    return Advice(
        what,
        tuple(fixes),
        seen,
        (RuledOut("RuntimeOutOfMemory", "locked memory and rights to it are meant, not the container's limit"),),
        sure=bool(kernel),
    )


_GPU_SHARE = lazy(r"Free memory on device[^\n]{0,20}\(([\d.]+)/([\d.]+) ?GiB\)")


def _gpu_share(words: LastWords, said: Said) -> Advice:
    """Judge vLLM, which takes a share of the whole GPU: what others hold of it, or a context too long for the rest."""
    free = _GPU_SHARE.search(said.line)
    if free is not None:
        share = max(int(float(free[1]) / float(free[2]) * 100) - 2, 1) / 100
        what = f"only {free[1]} of {free[2]} GiB of its GPU are free, and it wants a share of the whole GPU"
        return Advice(
            what,
            (
                node(
                    f"See which other processes hold memory of the GPU of {place(words)} (another pod by time slicing "
                    "or MPS, or an instance that is not gone yet), and stop them.",
                    on_node(words, "nvidia-smi"),
                ),
                manifest(
                    words,
                    f"Or let {where(words)} take what is free: --gpu-memory-utilization {share:.2f}, if weights and "
                    "cache fit into it.",
                ),
            ),
            ruled_out=_NOT_KERNEL,
        )
    return Advice(
        "the weights of its model leave too little of the GPU's memory for the cache of one full context",
        (
            manifest(
                words,
                f"Give {where(words)} a shorter context (--max-model-len 8192), fewer requests at a time "
                "(--max-num-seqs), or a larger share (--gpu-memory-utilization 0.95); or a quantized model.",
            ),
            manifest(words, "Or split it over more GPUs: --tensor-parallel-size 2 with nvidia.com/gpu: 2."),
        ),
        ruled_out=_NOT_KERNEL,
    )


_NOT_KERNEL = (
    RuledOut("OOMKilled", "the kernel killed nothing; memory of the GPU is meant"),
    RuledOut("RuntimeOutOfMemory", "memory of the GPU is meant, not that of the container"),
)

ROWS: tuple[Row, ...] = (
    Row(
        "kafka-length",
        lazy(r"kafka\.common\.network\.NetworkReceive\.readFrom|kafka\.common\.memory\.MemoryPool\S{0,9}\.tryAllocate"),
        _kafka_length,
        beside=True,
    ),
    Row("server-memory", lazy("|".join(s.pattern.pattern for s in _SERVER_WORDS)), _of_server),
    Row(
        "locked-maps",
        lazy(
            r"MEMLOCK may be too low"
            r"|(?i:fail\w*|unable|cannot|could not)[^\n]{0,30}(?i:remov|set|rais|increase|increasing)\w*"
            r"[^\n]{0,30}(?:rlimit[ _]?memlock|RLIMIT_MEMLOCK|memlock (?:rlimit|limit))"
        ),
        _locked_maps,
        code="PermissionDenied",
        beside=True,
    ),
    Row(
        "gpu-share",
        lazy(
            r"Free memory on device[^\n]{0,60}less than desired GPU memory utilization"
            r"|No available memory for the cache blocks"
            r"|(?:max seq len|model's max_?\w*)[^\n]{0,60}larger than the maximum number of tokens that can be stored"
            r"|needed, which is larger than the available KV cache memory"
        ),
        _gpu_share,
        beside=True,
    ),
)
