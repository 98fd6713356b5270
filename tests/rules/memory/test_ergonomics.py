"""HotSpot's ergonomics against 192 measured runs and the boundaries that were measured beside them."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.rules.memory import ergonomics
from kubetriage.rules.memory.ergonomics import GIB, MIB, Machine

ROWS = json.loads((Path(__file__).parent / "jvm-ergonomics.json").read_text())


def test_all_runs_are_there():
    assert len(ROWS) == 192


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['jdk']}-{r['limit_mib']}-{r['cpus']}")
def test_measured_run_is_reproduced(row):
    jdk, machine = int(row["jdk"].split(".")[0]), Machine(row["limit_mib"] * MIB, row["cpus"])
    gc = ergonomics.default_gc(jdk, machine)
    heap = ergonomics.max_heap(machine.memory, gc, jdk=jdk)
    assert f"Use{gc}GC" == row["gc"]
    assert heap == row["max_heap_bytes"]
    assert ergonomics.initial_heap(machine.memory, gc, heap) == row["initial_heap_bytes"]
    assert ergonomics.code_cache(jdk) == row["reserved_code_cache"]
    assert ergonomics.class_space(jdk, None) == row["compressed_class_space"]


@pytest.mark.parametrize(
    ("limit", "heap"),
    [(100, 50), (128, 64), (200, 100), (256, 192), (512, 384), (1024, 768), (2048, 1536), (4096, 3072)],
)
def test_three_quarters(limit, heap):
    assert ergonomics.max_heap(limit * MIB, "Serial", max_percentage=75.0) == heap * MIB


@pytest.mark.parametrize(("limit", "heap"), [(200, 126), (512, 128), (128, 96)])
def test_min_percentage_is_no_floor(limit, heap):
    assert ergonomics.max_heap(limit * MIB, "Serial", min_percentage=75.0) == heap * MIB


def test_initial_heap_raises_the_maximum():
    assert ergonomics.max_heap(GIB, "Serial", initial_heap=600 * MIB) == 600 * MIB


def test_max_ram_replaces_the_limit():
    assert ergonomics.max_heap(GIB, "Serial", max_ram=2 * GIB) == 512 * MIB


@pytest.mark.parametrize(
    ("jdk", "limit", "cpus", "gc"),
    [
        (17, 1791, 2, "Serial"),
        (17, 1792, 2, "G1"),
        (17, 16384, 1, "Serial"),
        (8, 4096, 2, "Parallel"),
        (8, 1024, 2, "Serial"),
        (26, 1024, 1, "Serial"),
        (27, 256, 1, "G1"),
        (21, 4096, None, "G1"),
    ],
)
def test_collector(jdk, limit, cpus, gc):
    assert ergonomics.default_gc(jdk, Machine(limit * MIB, cpus)) == gc


@pytest.mark.parametrize(
    ("jdk", "settings", "size"),
    [
        (17, {"tiered": False}, 48),
        (11, {"stop_at": 1}, 240),
        (17, {"stop_at": 1}, 48),
        (21, {"interpreted": True}, 48),
    ],
)
def test_code_cache(jdk, settings, size):
    assert ergonomics.code_cache(jdk, **settings) == size * MIB


@pytest.mark.parametrize(
    ("jdk", "cap", "size"),
    [
        (11, 256, 248),
        (17, 256, 208),
        (17, 2, 16),
        (25, 32, 32),
        (25, 100, 80),
        (17, 128, 112),
        (21, 1024, 832),
        (25, 2048, 1024),
    ],
)
def test_class_space_is_a_part_of_metaspace(jdk, cap, size):
    assert ergonomics.class_space(jdk, cap * MIB) == size * MIB


@pytest.mark.parametrize(
    ("gc", "jdk", "cpus", "size"),
    [
        # NMT "GC committed" of a 3 GiB heap, 17.0.15 and 25.0.3.
        ("G1", 17, 2, 157),
        ("G1", 17, 4, 161),
        ("G1", 17, 8, 170),
        ("G1", 25, 2, 97),
        ("G1", 25, 4, 101),
        ("G1", 25, 8, 109),
        ("Parallel", 17, 2, 122),
        ("Parallel", 17, 4, 128),
        ("Parallel", 17, 8, 140),
        ("Parallel", 25, 4, 70),
        ("Serial", 17, 8, 10),
        ("Shenandoah", 25, 4, 99),
    ],
)
def test_collector_structures(gc, jdk, cpus, size):
    known = ergonomics.gc_native(gc, jdk, 3 * GIB, cpus)
    assert known is not None
    assert abs(known // MIB - size) <= 1


def test_ceiling_of_the_collector_does_not_fall_with_few_cpus():
    assert ergonomics.gc_native_ceiling("G1", 17, 3 * GIB, 2) == ergonomics.gc_native_ceiling("G1", 17, 3 * GIB, None)


def test_zgc_is_not_guessed():
    assert ergonomics.gc_native("ZGC", 21, GIB) is None


@pytest.mark.parametrize(
    ("jdk", "update", "cgroup", "supported"),
    [
        (8, 372, 2, True),
        (8, 362, 2, False),
        (8, 191, 1, True),
        (8, None, 2, None),
        (11, 15, 2, False),
        (11, 16, 2, True),
        (17, None, 2, True),
        (12, None, 2, False),
    ],
)
def test_container_support(jdk, update, cgroup, supported):
    assert ergonomics.supports_containers(jdk, update, cgroup) is supported


@settings(max_examples=100)
@given(st.integers(64, 65536), st.sampled_from([8, 11, 17, 21, 25]), st.sampled_from(["Serial", "Parallel", "G1"]))
def test_heap_grows_with_the_limit_and_never_passes_it(limit, jdk, gc):
    heap = ergonomics.max_heap(limit * MIB, gc, jdk=jdk)
    assert heap <= ergonomics.max_heap((limit + 1) * MIB, gc, jdk=jdk)
    assert heap % (2 * MIB) == 0
    assert heap <= max(limit * MIB, 0)
    native = ergonomics.gc_native(gc, jdk, heap)
    assert native is not None
    assert native >= 0
