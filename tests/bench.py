"""Measures scans of a generated large cluster beside kubectl on the same fake API server.

``make bench`` runs it on the release tree. Read the ratios: times depend on the machine. ``make bench-check`` fails
when the CPU time of a scan, as a share of kubectl's in the same run, is a fifth more than in tests/bench.json, which
``--check --write`` completes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:0] = [str(ROOT / "lib"), str(ROOT / "tests")]

# The scan of oom-budget is its dashboard too: rows of all containers and sums of all nodes are part of its cost.
SCANS = (["why-crash", "-A"], ["oom-budget", "-A"], ["svc-trace", "-A"], ["node-triage"])

FAULTS = ((40, 1), (400, 1), (4_000, 1), (400, 200), (4_000, 200))
"""Broken pods of the large cluster, and of how many different faults."""
FOLDED = (["why-crash", "-A"], ["svc-trace", "-A"], ["triage", "-A"])
NODES, LOST = 5_000, 1_667
"""As many nodes as Kubernetes supports, and a zone's part of them."""
PARTS = ("scans", "faults", "nodes")
GET_PODS, GET_NODES = ["get", "pods", "-A", "-o", "json"], ["get", "nodes", "-o", "json"]
KNOWN = ROOT / "tests" / "bench.json"
WORSE = 1.2
"""Times the known ratio that is no longer chance."""
CHECKED_PODS = 1_000
"""Pods of the cluster of the check: kubectl alone takes ten times as long for ten times as many."""
HEAD = (
    "| cluster | command | wall | CPU | peak memory | requests | received | lines | wall to kubectl | CPU to kubectl |"
)


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    wall: float
    cpu: float
    memory: int
    """Bytes at the peak."""
    requests: int = 0
    received: int = 0
    """Bytes of the answers."""
    rows: int = 0
    """Lines of the answer."""


def main() -> int:
    """Print the tables as Markdown; with ``--check`` compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT / "dist" / "tree", help="the unpacked release archive")
    parser.add_argument("--pods", type=int, action="append", help="sizes of the cluster (default 1000, 10000, 50000)")
    parser.add_argument("--kubectl-at-most", type=int, default=10_000, help="pods up to which kubectl reads them all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, action="append", help="parts to measure (default all)")
    parser.add_argument("--check", action="store_true", help="fail when a ratio is a fifth worse than the known one")
    parser.add_argument("--write", action="store_true", help="make these ratios the known ones")
    options = parser.parse_args()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PATH"] = f"{options.tree / 'kubectl-plugins'}{os.pathsep}{environment['PATH']}"
    found: dict[str, float] = {}
    say(f"{HEAD}\n|{' --- |' * (HEAD.count('|') - 1)}")
    for part in options.only or PARTS:
        if part == "scans":
            for pods in options.pods or ([CHECKED_PODS] if options.check else [1_000, 10_000, 50_000]):
                found |= scans(environment, pods, options.runs, pods <= options.kubectl_at_most)
        elif part == "faults":
            size = CHECKED_PODS if options.check else 10_000
            for broken, causes in FAULTS:
                # As large a part of the smaller cluster.
                found |= faults(environment, size, broken * size // 10_000, max(causes * size // 10_000, 1))
        else:
            found |= nodes(environment, options.runs)
    known: dict[str, float] = json.loads(KNOWN.read_text(encoding="utf-8"))
    if options.write:
        KNOWN.write_text(json.dumps({**known, **found}, indent=1) + "\n", encoding="utf-8")
    worse = [row for row, ratio in found.items() if ratio > known.get(row, ratio) * WORSE]
    for row in worse if options.check else ():
        say(f"worse: {row} {found[row]:.2f}, known is {known[row]:.2f}")
    return 1 if worse and options.check else 0


def say(line: str) -> None:
    """Print a line at once: the whole takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


Rows = Iterator[tuple[list[str], "Cost"]]


def table(cluster: str, rows: Rows) -> dict[str, float]:
    """Print a line for each command; return the shares of kubectl's CPU time by what was measured."""
    found: dict[str, float] = {}
    base: Cost | None = None
    for words, cost in rows:
        base = cost if words[0] == "get" else base
        cells = [
            cluster,
            f"kubectl {' '.join(words)}",
            f"{cost.wall:.1f} s",
            f"{cost.cpu:.1f} s",
            f"{cost.memory >> 20} MB",
            f"{cost.requests:,}",
            f"{cost.received / 1e6:.1f} MB",
            f"{cost.rows:,}",
            f"{cost.wall / base.wall:.2f}" if base else "-",
            f"{cost.cpu / base.cpu:.2f}" if base else "-",
        ]
        say(f"| {' | '.join(cells)} |")
        if base is not None and words[0] != "get":
            found[f"{cluster}: {' '.join(words)}"] = round(cost.cpu / base.cpu, 2)
    return found


def typical(words: list[str], environment: dict[str, str], kubeconfig: Path, runs: int) -> Cost:
    """Run a command so often; return medians, and the greatest memory."""
    counted = measure(words, environment, kubeconfig)
    costs = [measure(words, environment) for _ in range(runs)]
    return replace(
        counted,
        wall=statistics.median(c.wall for c in costs),
        cpu=statistics.median(c.cpu for c in costs),
        memory=max(c.memory for c in costs),
    )


def scans(environment: dict[str, str], pods: int, runs: int, with_kubectl: bool) -> dict[str, float]:
    """Measure every scan of a cluster of so many pods."""
    with server(["support.large_cluster", "--pods", str(pods)]) as kubeconfig:
        known = {**environment, "KUBECONFIG": str(kubeconfig)}

        def rows() -> Rows:
            for words in (*([GET_PODS] if with_kubectl else []), *SCANS):
                measure(words, known, may_fail=True)  # what the server makes once, which may take it too long
                yield words, typical(words, known, kubeconfig, runs)

        return table(f"{pods:,} pods", rows())


def faults(environment: dict[str, str], pods: int, broken: int, causes: int) -> dict[str, float]:
    """Measure scans of pods of which many are broken, one row per object and folded."""
    served = ["support.large_cluster", "--pods", str(pods), "--broken", str(broken), "--causes", str(causes)]
    with server(served) as kubeconfig:
        known = {**environment, "KUBECONFIG": str(kubeconfig)}
        measure(GET_PODS, known)

        def rows() -> Rows:
            yield GET_PODS, measure(GET_PODS, known, kubeconfig)
            for words in FOLDED:
                for flags in ([], ["--no-fold"]) if words[0] != "triage" else ([],):
                    yield [*words, *flags], measure([*words, *flags], known, kubeconfig)

        faulty = f"{causes:,} fault{'s' if causes > 1 else ''}"
        return table(f"{broken:,} of {pods:,} pods, {faulty}", rows())


def nodes(environment: dict[str, str], runs: int) -> dict[str, float]:
    """Measure node-triage of as many nodes as Kubernetes supports, all ready and a third of them lost."""
    found: dict[str, float] = {}
    for lost in (0, LOST):
        with server(["support.large_cluster", "--nodes", str(NODES), "--lost", str(lost)]) as kubeconfig:
            known = {**environment, "KUBECONFIG": str(kubeconfig)}

            def rows(known: dict[str, str] = known, kubeconfig: Path = kubeconfig) -> Rows:
                for words in (GET_NODES, ["node-triage"]):
                    measure(words, known)
                    yield words, typical(words, known, kubeconfig, runs)

            found |= table(f"{NODES:,} nodes, {lost:,} lost", rows())
    return found


@contextlib.contextmanager
def server(words: Sequence[str]) -> Iterator[Path]:
    """Run a fake API server in a process of its own; yield its kubeconfig."""
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("lib", "tests"))
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "config"
        command = [sys.executable, "-m", *words, "--kubeconfig", str(kubeconfig), "--count", str(kubeconfig) + ".count"]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield kubeconfig
        finally:
            process.terminate()
            process.communicate()


def measure(
    words: Sequence[str], environment: dict[str, str], kubeconfig: Path | None = None, *, may_fail: bool = False
) -> Cost:
    """Run kubectl; with ``kubeconfig`` of a counting server say what was requested of it.

    What fails is quick and small: without ``may_fail`` it ends the measurement.
    """
    before = counts(kubeconfig)
    begun = time.monotonic()
    with tempfile.TemporaryFile() as written, open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(["kubectl", *words], env=environment, stdout=written, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        written.seek(0)
        rows = sum(1 for _ in written)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not may_fail:
        raise SystemExit(f"error: kubectl {' '.join(words)} ended with exit code {process.returncode}")
    after = counts(kubeconfig)
    scale = 1 if sys.platform == "darwin" else 1024
    return Cost(
        wall,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * scale,
        after[0] - before[0],
        after[1] - before[1],
        rows,
    )


def counts(kubeconfig: Path | None) -> tuple[int, int]:
    """Return the requests that a server has answered and the bytes that it has sent."""
    if kubeconfig is None:
        return 0, 0
    time.sleep(0.5)
    requests, sent = Path(f"{kubeconfig}.count").read_text(encoding="utf-8").split()
    return int(requests), int(sent)


if __name__ == "__main__":
    sys.exit(main())
