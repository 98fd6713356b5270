"""Where a JVM's options come from, in the order in which it applies them: a process in, options and gaps out.

Precedence, measured on 11, 17 and 25: ``JAVA_TOOL_OPTIONS`` < ``JDK_JAVA_OPTIONS`` (9 and later, read by the
launcher) < command line < ``_JAVA_OPTIONS``; the last one wins. Other variables (``JAVA_OPTS``) mean nothing to the
JVM: only a start script that reads them passes them on.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from kubetriage.rules.memory.container_process import Process, base_name
from kubetriage.rules.memory.image_defaults import ImageDefaults
from kubetriage.rules.memory.jvm_flags import Lint, Option

_WITH_VALUE = frozenset(
    {"-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--add-modules"}
    | {"--add-opens", "--add-exports", "--add-reads", "--limit-modules", "--patch-module", "--enable-native-access"}
)

WRAPPER_VARIABLES: tuple[tuple[str, str], ...] = (
    ("JAVA_OPTS", "start scripts (Tomcat, Gradle, WildFly, Jenkins)"),
    ("JAVA_OPTS_APPEND", "start scripts of WildFly and of Red Hat's images"),
    ("CATALINA_OPTS", "Tomcat's catalina.sh"),
    ("JAVA_OPTS_KC_HEAP", "Keycloak's kc.sh"),
    ("JENKINS_JAVA_OPTS", "the Jenkins image"),
    ("KAFKA_HEAP_OPTS", "Kafka's start scripts"),
    ("KAFKA_OPTS", "Kafka's start scripts"),
    ("SERVER_JVMFLAGS", "ZooKeeper's zkServer.sh"),
    ("JVMFLAGS", "ZooKeeper's zkServer.sh"),
    ("ES_JAVA_OPTS", "Elasticsearch"),
    ("OPENSEARCH_JAVA_OPTS", "OpenSearch"),
    ("LS_JAVA_OPTS", "Logstash"),
    ("JVM_OPTS", "Cassandra's cassandra-env.sh"),
    ("JVM_ARGS", "Liberty and JMeter scripts"),
    ("SOLR_OPTS", "Solr's start script"),
)
"""Variables that only start scripts read, and which ones do."""
WRAPPER_SIZES: tuple[tuple[str, str, str], ...] = (
    ("MAX_HEAP_SIZE", "-Xmx{}", "Cassandra's cassandra-env.sh"),
    ("SOLR_HEAP", "-Xmx{}", "Solr's start script"),
    ("JAVA_MAX_MEM_RATIO", "-XX:MaxRAMPercentage={}", "run-java.sh of Red Hat's images"),
    ("GC_MAX_METASPACE_SIZE", "-XX:MaxMetaspaceSize={}m", "run-java.sh of Red Hat's images"),
)
"""Variables whose value becomes one option."""
BUILDPACK_VARIABLES = (
    "BPL_JVM_HEAD_ROOM",
    "BPL_JVM_HEADROOM",
    "BPL_JVM_THREAD_COUNT",
    "BPL_JVM_LOADED_CLASS_COUNT",
    "BPL_JVM_CLASS_ADJUSTMENT",
)
"""Read by Paketo's memory calculator, which computes the flags at start."""
JVM_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


_OF_TOOLS = {"MAVEN_OPTS": "mvn", "GRADLE_OPTS": "gradle", "SBT_OPTS": "sbt"}
"""Variables of programs that a container may hold beside what it runs."""


def holds_heap(value: str | None) -> bool:
    """Tell whether a variable's value sets a Java heap, whatever its name is (GRAYLOG_SERVER_JAVA_OPTS, PULSAR_MEM)."""
    return bool(value and re.search(r"(?:\A|\s)-Xm[sx]\d", value))


def collect_options(
    process: Process, jdk: int | None, defaults: ImageDefaults | None = None, files: Sequence[Option] = ()
) -> tuple[list[Option], list[str], list[Lint]]:
    """Return the JVM's options in the order in which it applies them, what hides more, and remarks.

    ``defaults`` are those of the image's start script, ``files`` the options of mounted files (``jvm.options``).
    """
    unseen: list[str] = []
    lints: list[Lint] = []
    words = command_line_options(process, unseen, lints)
    options = list(_from_variable(process, "JAVA_TOOL_OPTIONS", unseen))
    launcher = list(_from_variable(process, "JDK_JAVA_OPTIONS", unseen))
    if launcher and jdk is not None and jdk < 9:
        lints.append(Lint("JDK_JAVA_OPTIONS", launcher[0].source, "ignored", "JDK 8's launcher does not read it"))
    else:
        options += launcher
    if not runs_java(process):
        options += from_image(process, defaults, files)
    options += _from_wrappers(process, unseen, lints, defaults)
    options += words
    options += _from_variable(process, "_JAVA_OPTIONS", unseen)
    return options, unseen, lints


def runs_java(process: Process) -> bool:
    """Tell whether the command line starts ``java`` itself, so that no start script adds anything."""
    return bool(re.match(r"javaw?(\.exe)?\Z", process.program))


def from_image(process: Process, defaults: ImageDefaults | None, files: Sequence[Option]) -> Iterator[Option]:
    """Yield what the image's start script passes: its own defaults, then those of files, then of its variables."""
    if defaults is not None:
        sized = any(_sets_heap(o.text) for o in files)
        if not defaults.replaced_by(process.environment) and not sized:
            how = f", {defaults.auto}" if defaults.auto else ""
            yield from (Option(word, f"default of {defaults.label}{how}") for word in defaults.options)
    yield from files
    if defaults is not None:
        for name, variable in process.environment.items():
            for word in defaults.from_variable(name, variable.value or ""):
                yield Option(word, variable.source)


def _sets_heap(option: str) -> bool:
    return option.startswith(("-Xmx", "-XX:MaxHeapSize=", "-XX:MaxRAMPercentage="))


def file_options(content: str, source: str, jdk: int | None) -> Iterator[Option]:
    """Yield the options of a ``jvm.options`` or ``jvm.config``: one a line, ``8-13:`` before it limits it to JDKs."""
    for line in content.splitlines():
        match = re.match(r"\s*(?:(\d{1,4})(-)?(\d{1,4})?:)?(-\S.*)\Z", line.rstrip())
        if match is None:
            continue
        least, most = int(match[1] or 0), int(match[3] or (match[1] if match[1] and not match[2] else 99))
        if jdk is None or least <= jdk <= most:
            yield Option(match[4], source)


def command_line_options(process: Process, unseen: list[str], lints: list[Lint]) -> list[Option]:
    """Return the options of ``java``'s command line, up to the main class."""
    words = list(process.argv)
    if not words:
        return []
    direct = bool(re.match(r"javaw?(\.exe)?\Z", base_name(words[0])))
    if direct:
        words = words[1:]
    found: list[Option] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word in ("-jar", "-m", "--module"):
            position += 1
            break
        if word in _WITH_VALUE:
            position += 1
        elif word.startswith("@"):
            unseen.append(f"the options in argument file {word}")
        elif word.startswith("-"):
            found.append(Option(word, process.where))
        elif direct:
            break
    for word in words[position:]:
        if direct and _is_memory_option(word):
            lints.append(
                Lint(
                    word,
                    process.where,
                    "ignored",
                    "it stands after the main class, so the program gets it, not the JVM",
                )
            )
    return found


def _is_memory_option(word: str) -> bool:
    return bool(re.match(r"-X(mx|ms|ss|mn)\d|-XX:[+-]?\w*(RAM|Metaspace|DirectMemory|Heap|CodeCache)", word))


def split_options(value: str) -> list[str] | None:
    """Split a variable's value into options, quotes honoured; None when the quotes do not close."""
    try:
        return shlex.split(value)
    except ValueError:
        return None


def _from_variable(process: Process, name: str, unseen: list[str]) -> Iterator[Option]:
    variable = process.environment.get(name)
    if variable is None:
        return
    if variable.value is None:
        unseen.append(f"the options in {variable.source} ({variable.why})")
        return
    for word in split_options(variable.value) or variable.value.split():
        if word.startswith("@"):
            unseen.append(f"the options in argument file {word}")
        else:
            yield Option(word, variable.source)


def _from_wrappers(
    process: Process, unseen: list[str], lints: list[Lint], defaults: ImageDefaults | None
) -> Iterator[Option]:
    """Yield the options of variables that a start script passes on; say so where none reads them."""
    direct = runs_java(process)
    known = (defaults.variable, *defaults.variables) if defaults is not None else ()
    for name, reader in WRAPPER_VARIABLES:
        variable = process.environment.get(name)
        if variable is None or name in process.read_by_shell:
            continue  # what the shell command line refers to is already filled in
        if direct:
            lints.append(
                Lint(
                    name,
                    variable.source,
                    "ignored",
                    f"java itself does not read it, only {reader}; use JAVA_TOOL_OPTIONS",
                )
            )
            continue
        if name not in known:
            unseen.append(f"whether the image's start script reads {name}, which is meant for {reader}")
        yield from _from_variable(process, name, unseen)
    taken = {*known, *JVM_VARIABLES, *dict(WRAPPER_VARIABLES), *process.read_by_shell}
    taken |= {variable for _, variable, _ in defaults.processes} if defaults is not None else set()
    for name, variable in () if direct else process.environment.items():
        if name in taken or not holds_heap(variable.value) or (defaults and defaults.from_variable(name, "")):
            continue
        if name in _OF_TOOLS and process.program != _OF_TOOLS[name]:
            continue
        unseen.append(f"whether the image's start script reads {name}, which holds options of a JVM")
        yield from _from_variable(process, name, unseen)
    for name, option, reader in WRAPPER_SIZES:
        variable = process.environment.get(name)
        if variable is not None and variable.value and not direct and name not in known:
            unseen.append(f"whether the image's start script reads {name}, which is meant for {reader}")
            yield Option(option.format(variable.value), variable.source)
    if any(n in process.environment for n in BUILDPACK_VARIABLES):
        unseen.append("the flags that the buildpack's memory calculator computes at start (BPL_JVM_*)")
