"""Readers of native memory tracking and of /proc/PID/status."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.rules.memory import jvm_areas
from kubetriage.rules.memory.ergonomics import MIB
from kubetriage.rules.memory.native_memory_tracking import parse_nmt
from kubetriage.rules.memory.proc_status import parse_status

# jcmd 1 VM.native_memory summary, shortened to some categories; sums of the totals kept.
JDK11 = """1:

Native Memory Tracking:

Total: reserved=4299776KB, committed=3602432KB
-                 Java Heap (reserved=3145728KB, committed=3145728KB)
                            (mmap: reserved=3145728KB, committed=3145728KB)

-                     Class (reserved=262144KB, committed=6144KB)
                            (classes #463)
-                    Thread (reserved=228352KB, committed=22528KB)
                            (thread #222)
-                      Code (reserved=251904KB, committed=8192KB)
-                        GC (reserved=168960KB, committed=168960KB)
-                     Other (reserved=204800KB, committed=204800KB)
-                    Symbol (reserved=1024KB, committed=1024KB)
-                  Internal (reserved=36864KB, committed=45056KB)
"""
# The same of JDK 25 with scale=MB: Metaspace of its own, "threads #", peaks and tags.
JDK25 = """12345:

Native Memory Tracking:

(Omitting categories weighting less than 1MB)

Total: reserved=1871MB, committed=538MB
       malloc: 2MB #3992, peak=2MB #3996
       mmap:   reserved=1870MB, committed=536MB

-                 Java Heap (reserved=512MB, committed=256MB)
                            (mmap: reserved=512MB, committed=256MB, at peak)

-                     Class (reserved=1024MB, committed=1MB)
                            (classes #476)

-                    Thread (reserved=223MB, committed=22MB)
                            (threads #221)
                            (stack: reserved=223MB, committed=22MB, peak=22MB)

-                        GC (reserved=57MB, committed=57MB)
                            (malloc=9MB tag=GC #8344) (peak=9MB #8400)

-        Shared class space (reserved=16MB, committed=14MB, readonly=0MB)

-                 Metaspace (reserved=64MB, committed=60MB)
-                     Other (reserved=100MB, committed=100MB)
"""
BYTES = """Total: reserved=1964053439, committed=562119615
-                 Java Heap (reserved=536870912, committed=536870912)
-    Native Memory Tracking (reserved=87832, committed=87832)
"""


def test_jdk_11_in_kilobytes():
    found = parse_nmt(JDK11)
    assert found.committed == 3602432 * 1024
    assert (found.threads, found.classes) == (222, 463)
    areas = {name: size // MIB for name, size in found.areas.items()}
    assert areas[jvm_areas.HEAP] == 3072
    assert areas[jvm_areas.METASPACE] == 6
    assert areas[jvm_areas.DIRECT] == 200
    assert areas[jvm_areas.STACKS] == 22
    assert areas[jvm_areas.COLLECTOR] == 165
    assert sum(found.areas.values()) == found.committed


def test_jdk_25_in_megabytes():
    found = parse_nmt(JDK25)
    areas = {name: size // MIB for name, size in found.areas.items()}
    assert (found.threads, found.classes) == (221, 476)
    assert areas[jvm_areas.METASPACE] == 61  # class space and metadata stand apart
    assert areas[jvm_areas.DIRECT] == 100
    assert areas[jvm_areas.OTHER] == 538 - 256 - 61 - 100 - 22 - 57
    assert found.reserved == 1871 * MIB


def test_plain_bytes():
    found = parse_nmt(BYTES)
    assert found.areas[jvm_areas.HEAP] == 536870912
    assert found.areas[jvm_areas.OTHER] == 562119615 - 536870912


@pytest.mark.parametrize("text", ["", "Native memory tracking is not enabled", "Total: lots"])
def test_what_is_no_summary(text):
    assert parse_nmt(text) is None


STATUS = """Name:\tjava
VmPeak:\t 5213128 kB
VmHWM:\t 3600000 kB
VmRSS:\t 3579916 kB
RssAnon:\t 3558792 kB
RssFile:\t   21124 kB
RssShmem:\t       0 kB
VmSwap:\t       0 kB
Threads:\t222
"""


def test_status():
    found = parse_status(STATUS)
    assert found.rss == 3579916 * 1024
    assert found.anonymous == 3558792 * 1024
    assert found.peak == 3600000 * 1024
    assert found.threads == 222
    assert found.rss == found.anonymous + found.files + found.shared


@pytest.mark.parametrize("text", ["", "no such process", "VmRSS: lots kB"])
def test_what_is_no_status(text):
    assert parse_status(text) is None


@settings(max_examples=100)
@given(st.text())
def test_readers_never_raise(text):
    parse_nmt(text)
    parse_status(text)
    parse_nmt("Total: reserved=1KB, committed=1KB\n- " + text)
