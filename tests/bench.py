"""Measures scans of a generated large cluster beside kubectl on the same fake API server.

``make bench`` runs it on the release tree. Read the ratios: times depend on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:0] = [str(ROOT / "lib"), str(ROOT / "tests")]

# The scan of oom-budget is its dashboard too: rows of all containers and sums of all nodes are part of its cost.
SCANS = (["why-crash", "-A"], ["oom-budget", "-A"], ["svc-trace", "-A"], ["node-triage"])

FAULTS = ((40, 1), (400, 1), (4_000, 1), (400, 200), (4_000, 200))
"""Broken pods of the large cluster, and of how many different faults."""
FOLDED = (["why-crash", "-A"], ["svc-trace", "-A"], ["triage", "-A"])


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
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT / "dist" / "tree", help="the unpacked release archive")
    parser.add_argument("--pods", type=int, action="append", help="sizes of the cluster (default 1000, 10000, 50000)")
    parser.add_argument("--kubectl-at-most", type=int, default=10_000, help="pods up to which kubectl reads them all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--faults", action="store_true", help="only the scans of many broken pods")
    options = parser.parse_args()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PATH"] = f"{options.tree / 'kubectl-plugins'}{os.pathsep}{environment['PATH']}"
    if options.faults:
        say("| broken pods | faults | command | wall | CPU | peak memory | requests | rows |")
        say("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for broken, causes in FAULTS:
            faults(environment, broken, causes)
        return 0
    say("| pods | command | wall | CPU | peak memory | requests | received | to kubectl |")
    say("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for pods in options.pods or [1_000, 10_000, 50_000]:
        scans(environment, pods, options.runs, pods <= options.kubectl_at_most)
    return 0


def say(line: str) -> None:
    """Print a line at once: the whole takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def scans(environment: dict[str, str], pods: int, runs: int, with_kubectl: bool) -> None:
    """Print one row for each scan."""
    with server(["support.large_cluster", "--pods", str(pods)]) as kubeconfig:
        known = {**environment, "KUBECONFIG": str(kubeconfig)}
        base: float | None = None
        for words in (*([["get", "pods", "-A", "-o", "json"]] if with_kubectl else []), *SCANS):
            measure(words, known)  # what the server makes once
            counted = measure(words, known, kubeconfig)
            costs = [measure(words, known) for _ in range(runs)]
            wall = statistics.median(c.wall for c in costs)
            base = wall if words[0] == "get" else base
            cells = [
                str(pods),
                f"kubectl {' '.join(words)}",
                f"{wall:.1f} s",
                f"{statistics.median(c.cpu for c in costs):.1f} s",
                f"{max(c.memory for c in costs) >> 20} MB",
                str(counted.requests),
                f"{counted.received / 1e6:.1f} MB",
                f"{wall / base:.2f}" if base else "-",
            ]
            say(f"| {' | '.join(cells)} |")


def faults(environment: dict[str, str], broken: int, causes: int) -> None:
    """Print what scans of 10,000 pods cost with so many broken ones, one row per object and folded."""
    served = ["support.large_cluster", "--pods", "10000", "--broken", str(broken), "--causes", str(causes)]
    with server(served) as kubeconfig:
        known = {**environment, "KUBECONFIG": str(kubeconfig)}
        for words in FOLDED:
            for flags in ([], ["--no-fold"]) if words[0] != "triage" else ([],):
                cost = measure([*words, *flags], known, kubeconfig)
                cells = [
                    f"{broken:,}",
                    str(causes),
                    f"kubectl {' '.join([*words, *flags])}",
                    f"{cost.wall:.1f} s",
                    f"{cost.cpu:.1f} s",
                    f"{cost.memory >> 20} MB",
                    str(cost.requests),
                    f"{cost.rows:,}",
                ]
                say(f"| {' | '.join(cells)} |")


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


def measure(words: Sequence[str], environment: dict[str, str], kubeconfig: Path | None = None) -> Cost:
    """Run kubectl; with ``kubeconfig`` of a counting server say what was requested of it."""
    before = counts(kubeconfig)
    begun = time.monotonic()
    with tempfile.TemporaryFile() as written, open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(["kubectl", *words], env=environment, stdout=written, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
        written.seek(0)
        rows = sum(1 for _ in written)
    process.returncode = os.waitstatus_to_exitcode(status)
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
