"""Options of the JVM; what is refused was checked by starting 17.0.15 and 25.0.3."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.rules.memory.container_process import Process, Variable
from kubetriage.rules.memory.ergonomics import GIB, MIB, Machine
from kubetriage.rules.memory.jvm_flags import Option, format_size, lint_together, parse_size, resolve
from kubetriage.rules.memory.jvm_options import collect_options


def flags(*words, jdk=17):
    return resolve([Option(w, "command") for w in words], jdk)


def lints(*words, jdk=17, memory=4 * GIB):
    found = flags(*words, jdk=jdk)
    together = lint_together(found, jdk, Machine(memory, 4), found.collector or "G1")
    return [(x.option, x.kind) for x in (*found.lints, *together)]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1536M", 1536 * MIB),
        ("1073741824", GIB),
        ("0x40000000", GIB),
        ("512m", 512 * MIB),
        ("1g", GIB),
        ("1t", 1024 * GIB),
        ("64k", 65536),
        ("0", 0),
        ("1.5g", None),
        ("3GB", None),
        ("1500b", None),
        ("", None),
        ("=1g", None),
        ("-1", None),
        (" 1g", None),
        ("１g", None),
        ("256MB", None),
        ("9" * 40, None),
    ],
)
def test_size_grammar(text, size):
    assert parse_size(text) == size


@settings(max_examples=100)
@given(st.integers(0, 2**50))
def test_sizes_are_written_as_they_are_read(size):
    assert parse_size(format_size(size)) == size


@settings(max_examples=100)
@given(st.lists(st.text(max_size=30).map(lambda t: f"-XX:{t}") | st.text(max_size=30).map(lambda t: f"-Xmx{t}")))
def test_no_option_raises(words):
    flags(*words)


@pytest.mark.parametrize(
    "option",
    [
        "-Xmx1.5g",
        "-Xmx3GB",
        "-Xmx1500b",
        "-Xmx",
        "-Xmx 1g",
        "-Xmx=1g",
        "-Xmx1m",
        "-XX:MaxHeapSize=512",
        "-XX:MaxDirectMemorySize=256MB",
        "-XX:MaxDirectMemorySize=-1",
        "-XX:MaxMetaspaceSize=256",
        "-XX:MaxRAMPercentage=120",
        "-XX:MaxRAMPercentage=75%",
        "-XX:MaxRAMPercentage=-5",
        "-Xss512",
        "-Xss100k",
        "-XX:ThreadStackSize=2g",
        "-XX:ReservedCodeCacheSize=1m",
        "-XX:ReservedCodeCacheSize=3g",
        "-XX:CompressedClassSpaceSize=512k",
        "-XX:UseG1GC",
        "-XX:+MaxRAMPercentage=75",
        "-XX:maxrampercentage=75",
        "-XX:MaxMetaspace=256m",
        "-XX:MaxPermSize=256m",
        "-XX:+UseConcMarkSweepGC",
        "-XX:+UseCGroupMemoryLimitForHeap",
        "-XX:+PrintGCDateStamps",
        "-XX:+UseParallelOldGC",
        "-XX:TieredStopAtLevel=abc",
        "-Xincgc",
        "-XX:+UseEpsilonGC",
    ],
)
@pytest.mark.parametrize("jdk", [17, 25])
def test_what_the_jvm_refuses(option, jdk):
    assert (option, "refused") in lints(option, jdk=jdk)


@pytest.mark.parametrize(
    "option",
    [
        "-Xmx512m",
        "-mx512m",
        "-ms64m",
        "-ss1m",
        "-Xss136k",
        "-Xss0",
        "-XX:MaxMetaspaceSize=2m",
        "-XX:InitialHeapSize=0x10000000",
        "-XX:MaxRAM=1g",
        "-XX:ThreadStackSize=512",
        "-XX:+UseZGC",
        "-XX:+UseShenandoahGC",
        "-XX:+UnlockExperimentalVMOptions",
        "-XX:-UseCompressedClassPointers",
        "-XX:SomeFlagOfOurs=1",
        "-Dspring.profiles.active=prod",
        "-XX:MaxRAMPercentage=75",
    ],
)
def test_what_the_jvm_takes(option):
    assert lints(option) == []


@pytest.mark.parametrize(
    ("option", "jdk", "kind"),
    [
        ("-XX:MaxRAMFraction=2", 25, "refused"),
        ("-XX:MaxRAMFraction=2", 17, None),
        ("-XX:+UseBiasedLocking", 25, "refused"),
        ("-XX:+UseBiasedLocking", 17, None),
        ("-XX:+UseBiasedLocking", 18, "ignored"),
        ("-XX:+ZGenerational", 25, "ignored"),
        ("-XX:+ZGenerational", 21, None),
        ("-XX:MaxPermSize=1g", 8, "ignored"),
        ("-XX:+UseConcMarkSweepGC", 11, None),
        ("-XX:+UseConcMarkSweepGC", 14, "ignored"),
        ("-XX:+UseZGC", 11, "refused"),
    ],
)
def test_flags_come_and_go_with_versions(option, jdk, kind):
    assert lints(option, jdk=jdk) == ([(option, kind)] if kind else [])


@pytest.mark.parametrize(
    ("words", "option", "kind"),
    [
        (("-Xms600m", "-Xmx512m"), "-Xms600m", "refused"),
        (("-XX:+UseG1GC", "-XX:+UseSerialGC"), "-XX:+UseG1GC", "refused"),
        (("-Xmx1g", "-XX:MaxRAMPercentage=75"), "-XX:MaxRAMPercentage=75", "ignored"),
        (("-Xmx1g", "-XX:SoftMaxHeapSize=2g"), "-XX:SoftMaxHeapSize=2g", "refused"),
        (("-XX:-UseContainerSupport",), "-XX:-UseContainerSupport", "trap"),
        (("-XX:ThreadStackSize=512k",), "-XX:ThreadStackSize=512k", "trap"),
        (
            ("-XX:MaxMetaspaceSize=256m", "-XX:CompressedClassSpaceSize=300m"),
            "-XX:CompressedClassSpaceSize=300m",
            "ignored",
        ),
        (("-XX:MinRAMPercentage=75",), "-XX:MinRAMPercentage=75", "ignored"),
        (("-XX:MaxDirectMemorySize=0",), "-XX:MaxDirectMemorySize=0", "ignored"),
    ],
)
def test_flags_that_do_something_else_together(words, option, kind):
    assert (option, kind) in lints(*words)


def test_switched_off_collector_is_no_second_one():
    assert lints("-XX:+UseSerialGC", "-XX:-UseSerialGC", "-XX:+UseG1GC") == []


@pytest.mark.parametrize(
    ("memory", "percentage", "inert"),
    [(160, 75, True), (200, 75, True), (300, 75, False), (300, 30, True), (4096, 75, False)],
)
def test_percentage_on_small_limits(memory, percentage, inert):
    option = f"-XX:MaxRAMPercentage={percentage}"
    assert ((option, "ignored") in lints(option, memory=memory * MIB)) is inert


def test_min_percentage_that_passes_the_middle_regime_is_a_trap():
    assert lints("-XX:MinRAMPercentage=75", memory=200 * MIB) == [("-XX:MinRAMPercentage=75", "trap")]


def test_stack_units():
    assert flags("-Xss512k").size("ThreadStackSize") == 512 * 1024
    assert flags("-XX:ThreadStackSize=512").size("ThreadStackSize") == 512 * 1024
    assert flags("-XX:ThreadStackSize=512k").size("ThreadStackSize") == 512 * MIB


def test_the_last_one_wins():
    assert flags("-Xmx1g", "-XX:MaxHeapSize=2g", "-Xmx3g").size("MaxHeapSize") == 3 * GIB
    assert flags("-XX:MaxHeapSize=2g", "-XX:MaxRAMPercentage=50").size("MaxHeapSize") == 2 * GIB


def process(*argv, read_by_shell=(), **variables):
    environment = {k: Variable(k, v, f"env {k}") for k, v in variables.items()}
    return Process(environment, tuple(argv), "command", read_by_shell=frozenset(read_by_shell))


def heap(*argv, jdk=17, **variables):
    options, _, _ = collect_options(process(*argv, **variables), jdk)
    return resolve(options, jdk).size("MaxHeapSize")


def test_precedence_of_sources():
    every = {"JAVA_TOOL_OPTIONS": "-Xmx1g", "JDK_JAVA_OPTIONS": "-Xmx2g"}
    assert heap("java", "-jar", "a.jar", JAVA_TOOL_OPTIONS="-Xmx1g") == GIB
    assert heap("java", "-jar", "a.jar", **every) == 2 * GIB
    assert heap("java", "-Xmx3g", "-jar", "a.jar", **every) == 3 * GIB
    assert heap("java", "-Xmx3g", "-jar", "a.jar", _JAVA_OPTIONS="-Xmx4g", **every) == 4 * GIB
    assert heap("java", "-jar", "a.jar", jdk=8, **every) == GIB


def test_java_opts_mean_nothing_to_java_itself():
    options, _, remarks = collect_options(process("java", "-jar", "a.jar", JAVA_OPTS="-Xmx1g"), 17)
    assert resolve(options, 17).size("MaxHeapSize") is None
    assert [(x.option, x.kind) for x in remarks] == [("JAVA_OPTS", "ignored")]


def test_java_opts_of_an_unseen_start_script_count_with_a_reservation():
    options, unseen, remarks = collect_options(process(JAVA_OPTS="-Xmx1g"), 17)
    assert resolve(options, 17).size("MaxHeapSize") == GIB
    assert remarks == []
    assert any("JAVA_OPTS" in u for u in unseen)


def test_options_after_the_main_class_are_the_programs():
    options, _, remarks = collect_options(process("java", "-jar", "a.jar", "-Xmx1g"), 17)
    assert options == []
    assert remarks[0].option == "-Xmx1g"
    assert remarks[0].kind == "ignored"


def test_values_of_other_options_are_no_main_class():
    options, _, _ = collect_options(process("java", "-cp", "/app", "--add-opens", "a/b=c", "-Xmx1g", "Main", "x"), 17)
    assert [o.text for o in options] == ["-Xmx1g"]


@pytest.mark.parametrize("word", ["@/opt/args", "-XX:Flags=/opt/f", "-XX:VMOptionsFile=/opt/o"])
def test_files_of_options_are_named_as_unseen(word):
    options, unseen, _ = collect_options(process("java", word, "-jar", "a.jar"), 17)
    assert any(word.partition("=")[0] in u for u in [*unseen, *resolve(options, 17).unseen])


def test_underscore_options_win_and_that_is_said():
    options, _, _ = collect_options(process("java", "-Xmx1g", "-jar", "a.jar", _JAVA_OPTIONS="-Xmx2g"), 17)
    found = resolve(options, 17)
    together = list(lint_together(found, 17, Machine(GIB, 2), "G1"))
    assert [(x.option, x.kind) for x in together] == [("-Xmx2g", "trap")]


def test_agents_are_named():
    assert flags("-javaagent:/apm.jar").agents == ("-javaagent:/apm.jar",)
