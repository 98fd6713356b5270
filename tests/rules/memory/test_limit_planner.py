"""Plans for a limit; what a plan or a proposal says starts in a real JVM."""

import shutil
import subprocess

import pytest

from kubetriage.plugins import Target
from kubetriage.rules.memory.ergonomics import GIB, MIB
from kubetriage.rules.memory.fitted_answer import Fit, fit_patch, fitted_answer, parse_fit
from kubetriage.rules.memory.jvm_flags import parse_size
from kubetriage.rules.memory.limit_planner import PLANNED, ROOM, plan
from kubetriage.rules.memory.overrides import Wishes
from support.budgets import ORDERS, ask, case, java, live, resources
from support.objects import cluster, container

JAVA = shutil.which("java")


@pytest.mark.parametrize("limit", [512 * MIB, GIB, 2 * GIB, 4 * GIB, 16 * GIB])
@pytest.mark.parametrize("threads", [20, 200])
def test_a_plan_of_a_jvm_closes_with_its_margin(limit, threads):
    made = plan("hotspot", limit, threads=threads)
    if made.refused:
        assert limit == 512 * MIB
        return
    words = made.variables["JAVA_TOOL_OPTIONS"].split()
    asked = case(live(java("java", *words, "-jar", "a.jar", limit=f"{limit // MIB}Mi")), wishes=Wishes(threads=threads))
    assert asked.budget.margin >= ROOM.of(limit)
    assert not [x for x in asked.budget.lints if x.kind == "refused"]
    assert sum(size for _, size, _, _ in made.rows) == limit


def test_the_users_document_as_a_plan():
    made = plan("hotspot", 4 * GIB, threads=200, jdk=17)
    assert made.rows[0][:3] == ("heap", 2752 * MIB, "-Xmx2752m")
    assert all(why for _, _, _, why in made.rows)


def test_a_limit_that_holds_no_jvm_is_refused():
    assert "leave no heap" in plan("hotspot", 160 * MIB, threads=40).refused


@pytest.mark.parametrize("runtime", [r for r in PLANNED if r not in ("hotspot", "openj9")])
def test_other_runtimes_get_a_setting_below_the_limit(runtime):
    made = plan(runtime, GIB, threads=20)
    assert made.variables
    assert made.rows[0][1] < GIB * 0.95


@pytest.mark.parametrize("words", ["limit=lots", "threads=0", "heap=1g", "limit=1", "limit"])
def test_what_is_no_fit(words):
    with pytest.raises(ValueError, match="--fit"):
        parse_fit(words)


def test_fit_is_read():
    assert parse_fit("limit=4Gi, threads=200") == Fit(4 * GIB, 200)


def test_the_answer_for_a_container_is_a_patch_of_its_workload():
    target = live(java("java", "-Xms3g", "-Xmx3g", "-jar", "a.jar"))
    (got,) = ask(cluster(target), Target("pods", "api"), options={"fit": "threads=200"}).diagnoses
    assert "-Xmx2752m" in got.summary
    assert got.extra["fit"]["limitBytes"] == 4 * GIB


def test_an_unplanned_runtime_says_so():
    assert "There is no plan" in fitted_answer(Fit(GIB), Wishes(runtime="nginx"), None).summary


HEAPS = (
    ("java", "-Xms3g", "-Xmx3g", "-jar", "a.jar"),
    ("java", "-XX:InitialHeapSize=3g", "-XX:MaxHeapSize=3g", "-jar", "a.jar"),
    ("java", "-Xms2g", "-XX:MaxRAMPercentage=80", "-jar", "a.jar"),
    ("java", "-XX:SoftMaxHeapSize=3g", "-Xmx3g", "-jar", "a.jar"),
    ORDERS,
)


def proposed():
    """Yield the flags of every proposal for the test set, and those of plans."""
    for words in HEAPS:
        for limit in ("2Gi", "3Gi", "4Gi"):
            for spec in (java(*words, limit=limit), java("java", "-jar", "a.jar", limit=limit, env=as_variable(words))):
                asked = case(live(spec), wishes=Wishes(threads=200))
                for made in asked.proposals:
                    changed = asked.changed(patched(asked, made), made.limit)
                    yield [o for o in options_of(changed) if o.startswith("-X")]
    for limit in (512 * MIB, GIB, 4 * GIB):
        yield list(plan("hotspot", limit, threads=20).flags)
    for words in HEAPS:
        for limit in (GIB, 2 * GIB, 4 * GIB):
            for spec in (java(*words), java("java", "-jar", "a.jar", env=as_variable(words))):
                asked = case(live(spec))
                patch = fit_patch(asked, plan("hotspot", limit, threads=20))
                assert patch is not None
                yield [o for o in options_of(asked.changed(patch, limit)) if o.startswith("-X")]


def as_variable(words):
    return [{"name": "JAVA_TOOL_OPTIONS", "value": " ".join(w for w in words if w.startswith("-X"))}]


def patched(asked, made):
    from kubetriage.rules.memory.budget_fixes import flags_patch

    return flags_patch(asked, made.flags) or {}


def options_of(asked):
    words = [*asked.container.spec.get("command", ()), *(asked.process.value("JAVA_TOOL_OPTIONS") or "").split()]
    return list(words)


def test_no_proposal_leaves_an_initial_heap_above_the_maximum():
    for flags in proposed():
        sizes = {f[:4]: f[4:] for f in flags if f.startswith(("-Xms", "-Xmx"))}
        if len(sizes) == 2:
            assert parse_size(sizes["-Xms"]) <= parse_size(sizes["-Xmx"]), flags


@pytest.mark.slow
@pytest.mark.skipif(JAVA is None, reason="no java on PATH to start with the proposals")
def test_a_real_jvm_starts_with_every_proposal():
    tried = {tuple(flags) for flags in proposed()}
    assert len(tried) > 20
    for flags in sorted(tried):
        run = subprocess.run([JAVA, *flags, "-version"], capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, f"{flags}: {run.stdout}{run.stderr}"


@pytest.mark.parametrize("words", HEAPS)
def test_a_fit_for_a_container_closes_and_is_refused_by_nothing(words):
    asked = case(live(java(*words)))
    made = plan("hotspot", 2 * GIB, threads=20)
    after = asked.changed(fit_patch(asked, made), 2 * GIB)
    assert after.budget.margin >= 0
    assert not [x for x in after.budget.lints if x.kind == "refused"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (container(image="node:22", resources=resources("1Gi")), "--max-old-space-size="),
        (container(image="golang:1.23", resources=resources("1Gi")), "GOMEMLIMIT="),
        (container(image="mcr.microsoft.com/dotnet/aspnet:8.0", resources=resources("1Gi")), "GCHeapHardLimit=0x"),
        (container(command=["gunicorn", "app:app"], resources=resources("1Gi")), "WEB_CONCURRENCY=5"),
        (container(command=["celery", "-A", "a", "worker"], resources=resources("1Gi")), "CELERY_WORKER_CONCURRENCY=4"),
        (container(image="php:8.3-fpm", command=["php-fpm"], resources=resources("1Gi")), "pm.max_children"),
        (container(image="nginx:1.27", resources=resources("128Mi")), "worker_processes"),
    ],
)
def test_other_programs_get_the_setting_that_is_theirs(spec, words):
    got = fitted_answer(Fit(), Wishes(), case(live(spec)))
    assert got.cause == "Plan"
    assert words in got.summary


def test_a_limit_that_holds_nothing_is_no_plan():
    assert fitted_answer(Fit(64 * MIB), Wishes(), None).cause == "NoPlan"
