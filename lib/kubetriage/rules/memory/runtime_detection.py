"""Which runtime a container runs: command line, variables, image and log in, runtime and version out.

Detection weighs, in this order: the program on the command line, variables that only one runtime reads, the image's
name (never its tag alone). What remains unknown is a container without a model, not Java.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kubetriage.records import dataclass, replace
from kubetriage.rules.memory.container_process import Process, base_name
from kubetriage.rules.memory.image_defaults import image_defaults
from kubetriage.rules.memory.jvm_options import holds_heap
from kubetriage.typed import Literal, get_args
from kubetriage.values.patterns import lazy

Runtime = Literal[
    "hotspot",
    "openj9",
    "native-image",
    "azul-prime",
    "node",
    "go",
    "dotnet",
    "python",
    "ruby",
    "php",
    "nginx",
    "unknown",
]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
"""What ``--runtime`` accepts."""


@dataclass(frozen=True)
class Detected:
    """The runtime of a container and how it is known."""

    runtime: Runtime
    evidence: str
    """Empty for ``unknown``."""
    sure: bool
    """The command line or a log line says so; otherwise it is a guess from names."""
    version: int | None = None
    """Major version (JDK, Node)."""
    version_evidence: str = ""
    update: int | None = None
    """Update of JDK 8 (``8u382``) or patch of 11 (``11.0.22``)."""


_PROGRAMS: tuple[tuple[str, Runtime], ...] = (
    (r"javaw?(\.exe)?|catalina\.sh|standalone\.sh|kc\.sh", "hotspot"),
    (r"node|nodejs|npm|npx|yarn|pnpm|next|nest", "node"),
    (r"dotnet", "dotnet"),
    (r"python[\d.]*|gunicorn|uvicorn|celery|hypercorn|uwsgi|flask|daphne", "python"),
    (r"puma|bundle|bundler|rails|unicorn|ruby|sidekiq|rake", "ruby"),
    (r"php-fpm[\d.]*|php[\d.]*", "php"),
    (r"nginx", "nginx"),
)
_VARIABLES: tuple[tuple[str, Runtime], ...] = (
    (r"OPENJ9_JAVA_OPTIONS|IBM_JAVA_OPTIONS", "openj9"),
    (
        r"JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS|JAVA_OPTS\w*|CATALINA_OPTS|\w+_JAVA_OPTIONS|\w+_JAVA_OPTS"
        r"|KAFKA_HEAP_OPTS|BPL_JVM_\w+|JAVA_HOME|JVM_OPTS|JAVA_MAX_MEM_RATIO",
        "hotspot",
    ),
    (r"NODE_OPTIONS|NODE_ENV", "node"),
    (r"GOMEMLIMIT|GOGC|GOMAXPROCS|GODEBUG", "go"),
    (r"DOTNET_\w+|COMPlus_\w+|ASPNETCORE_\w+", "dotnet"),
    (r"PYTHON[A-Z]+|GUNICORN_CMD_ARGS|WEB_CONCURRENCY", "python"),
    (r"RUBYOPT|RUBY_\w+|RAILS_ENV|RACK_ENV", "ruby"),
    (r"PHP_\w+", "php"),
)
_IMAGES: tuple[tuple[str, Runtime], ...] = (
    (r"(.*-)?semeru(-.*)?|.*openj9.*|ibmjava|ibm-semeru-runtimes", "openj9"),
    (r"zulu-prime|zing|prime", "azul-prime"),
    (
        r"eclipse-temurin|openjdk|.*-openjdk(-.*)?|amazoncorretto|.*corretto|zulu-openjdk(-.*)?|sapmachine|liberica.*|tomcat"
        r"|jetty|wildfly|keycloak|kafka|cp-kafka|zookeeper|elasticsearch|opensearch|logstash|cassandra|solr|jenkins|java"
        r"|java\d+.*|jdk|jre|gradle|maven|spring-.*|neo4j|activemq.*|sonarqube|nexus3?",
        "hotspot",
    ),
    (
        r"node|nodejs.*|n8n|ghost|strapi.*|verdaccio|backstage.*|kibana|opensearch-dashboards|node-red|directus|nocodb"
        r"|uptime-kuma|rocket\.chat|etherpad.*|parse-server|zigbee2mqtt|unleash-server|librechat|langfuse.*",
        "node",
    ),
    (r"aspnet|dotnet|runtime|sdk", "dotnet"),
    (
        r"python|pypy|jupyter.*|superset|airflow|netbox|paperless-ngx|open-webui|home-assistant|mlflow|label-studio"
        r"|litellm.*|sentry|immich-machine-learning|.*-notebook",
        "python",
    ),
    (r"ruby|rails|jruby", "ruby"),
    (r"php|php-fpm|wordpress", "php"),
    (r"nginx|nginx-unprivileged", "nginx"),
    (r"golang", "go"),
)
_JDK_IMAGES = lazy(r"(eclipse-temurin|openjdk|amazoncorretto|sapmachine|ibm-semeru-runtimes|.*corretto|zulu-openjdk)\Z")
_MAJOR_IN_NAME = lazy(r"(?:jdk|jre|java|openjdk)[-_]?(\d{1,2})(?!\d)(?:u(\d+))?")
_MAJOR_IN_TAG = lazy(r"(?:open-)?(\d{1,2})(?:u(\d+))?(?:\.\d+\.(\d+))?(?=[-._]|\Z)")
# "OpenJDK 64-Bit Server VM (17.0.9+9-LTS)", "openjdk version "21.0.2"", Spring Boot's "using Java 17.0.9",
# hs_err's "JRE version: OpenJDK Runtime Environment (11.0.16+8)".
_MAJOR_IN_LOG = lazy(
    r"(?:using Java |openjdk version \"|java version \"|Server VM \(|Runtime Environment[^(\n]*\()"
    r"(?:1\.)?(\d{1,2})[.+_ \"-](?:\d+[._](\d+))?"
)
_FINGERPRINTS: tuple[tuple[re.Pattern[str], Runtime, str], ...] = (
    # The JVM prints these itself, before the program's first line.
    (
        lazy(r"^(?:NOTE: )?Picked up (?:JAVA_TOOL|JDK_JAVA|_JAVA)_OPTIONS:", re.M),
        "hotspot",
        "its log: Picked up ...",
    ),
    (
        lazy(r"^Exception in thread \"[^\"]*\" java\.|^[ \t]{1,20}at [\w.$]+\([\w$]+\.java:\d+\)", re.M),
        "hotspot",
        "a Java stack trace in its log",
    ),
    (lazy(r"java\.lang\.OutOfMemoryError"), "hotspot", "java.lang.OutOfMemoryError in its log"),
    (lazy(r"JavaScript heap out of memory|^[ \t]{1,20}at .*\(node:internal/", re.M), "node", "V8's words in its log"),
    (lazy(r"^Traceback \(most recent call last\):", re.M), "python", "a Python traceback in its log"),
    (lazy(r"^goroutine \d+ \[", re.M), "go", "goroutines in its log"),
)


def image_parts(image: str) -> tuple[str, str, str]:
    """Split an image reference into repository path, last segment and tag."""
    name = image.partition("@")[0]
    head, sign, tail = name.rpartition(":")
    path, tag = (head, tail) if sign and "/" not in tail else (name, "")
    return path, path.rpartition("/")[2], tag


_BESIDE_A_SERVER = frozenset(
    {"operator", "exporter", "agent", "controller", "manager", "backup", "backups", "init", "proxy", "admin"}
    | {"client", "ui", "webhook", "reloader", "metrics", "adapter", "router", "shell", "express", "sentinel"}
    | {"bridge", "connect", "tools", "cli", "dashboard", "updater", "provisioner", "sidecar", "jmx"}
)
"""Words in an image's name that make it a companion of the server and not the server (``redis-exporter``)."""


def is_companion(segment: str) -> bool:
    """Tell whether an image's last segment names a companion of a server: an operator, an exporter, an agent."""
    return bool(_BESIDE_A_SERVER & set(re.split(r"[-_.]", segment.lower())))


def detect(process: Process, image: str, log: str = "") -> Detected:
    """Tell which runtime a container runs."""
    found = _detect(process, image, log)
    if found.runtime in ("hotspot", "openj9", "azul-prime"):
        return _with_jdk(found, process, image, log)
    if found.runtime == "node":
        _, segment, tag = image_parts(image)
        match = re.match(r"v?(\d{1,2})(?=[-.]|\Z)", tag) if segment.startswith("node") else None
        if match:
            return replace(found, version=int(match[1]), version_evidence=f"image tag {tag}")
    return found


def _detect(process: Process, image: str, log: str) -> Detected:
    by_image = _by_image(image)
    words = [process.program] if process.program else []
    words += [base_name(w) for w in process.argv[1:3]] if process.program in ("", "env") else []
    if process.script:
        words.append(process.script)
    for word in words:
        runtime = _by_program(word)
        if runtime is not None:
            return Detected(_flavour(runtime, by_image), f"{process.where}: {word}", True)
    if process.program.endswith(".jar") or "-jar" in process.argv:
        return Detected(_flavour("hotspot", by_image), f"{process.where}: a .jar", True)
    # Options of Java after another program than java: the program is the compiled Java itself.
    if process.program and any(re.match(r"-D(?:quarkus|spring|micronaut)\.|-XX:\w+", w) for w in process.argv[1:]):
        return Detected("native-image", f"{process.where}: options of Java behind {process.program}", True)
    for fingerprint, runtime, words_for_people in _FINGERPRINTS if log.strip() else ():
        if fingerprint.search(log):
            return Detected(_flavour(runtime, by_image), words_for_people, True)
    # Variables of other kinds of programs are often set for all containers of a team, so a named runtime image wins.
    if by_image is not None:
        return by_image
    for name in process.environment:
        runtime = _by_variable(name)
        if runtime is not None:
            return Detected(runtime, f"variable {name}", False)
    heap = next((name for name, variable in process.environment.items() if holds_heap(variable.value)), "")
    return Detected("hotspot", f"variable {heap} sets a Java heap", False) if heap else Detected("unknown", "", False)


def _flavour(runtime: Runtime, by_image: Detected | None) -> Runtime:
    """Take the JVM that the image is made of, where the evidence only says that it is a JVM."""
    if runtime == "hotspot" and by_image is not None and by_image.runtime in ("openj9", "azul-prime"):
        return by_image.runtime
    return runtime


def _first_match(patterns: tuple[tuple[str, Runtime], ...], word: str) -> Runtime | None:
    return next((runtime for pattern, runtime in patterns if re.fullmatch(pattern, word)), None)


@lru_cache(maxsize=4096)
def _by_program(word: str) -> Runtime | None:
    return _first_match(_PROGRAMS, word)


@lru_cache(maxsize=4096)
def _by_variable(name: str) -> Runtime | None:
    return _first_match(_VARIABLES, name)


@lru_cache(maxsize=4096)
def _by_image(image: str) -> Detected | None:
    path, segment, _ = image_parts(image)
    if segment in ("runtime", "sdk") and "dotnet" not in path:
        return None
    runtime = _first_match(_IMAGES, segment) or ("hotspot" if image_defaults(image) is not None else None)
    return Detected(runtime, f"image {path}", False) if runtime is not None else None


def _with_jdk(found: Detected, process: Process, image: str, log: str) -> Detected:
    match = _MAJOR_IN_LOG.search(log)
    if match:
        return _versioned(found, match[1], match[2], "its log")
    value = process.value("JAVA_VERSION") or ""
    match = re.match(r"(?:jdk-?)?(?:1\.)?(\d{1,2})(?:u(\d+))?", value)
    if match:
        return _versioned(found, match[1], match[2], f"variable JAVA_VERSION={value}")
    home = process.value("JAVA_HOME") or ""
    path, segment, tag = image_parts(image)
    for text, where in ((home, f"variable JAVA_HOME={home}"), (tag, f"image tag {tag}"), (segment, f"image {path}")):
        match = _MAJOR_IN_NAME.search(text)
        if match:
            return _versioned(found, match[1], match[2], where)
    match = _MAJOR_IN_TAG.match(tag) if _JDK_IMAGES.match(segment) else None
    if match:
        return _versioned(found, match[1], match[2] or match[3], f"image tag {tag}")
    defaults = image_defaults(image)
    if defaults is not None and defaults.jdk is not None:
        return replace(found, version=defaults.jdk, version_evidence=f"the releases of image {path}")
    return found


def _versioned(found: Detected, major: str, update: str | None, evidence: str) -> Detected:
    return replace(found, version=int(major), version_evidence=evidence, update=int(update) if update else None)
