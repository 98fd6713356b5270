"""Compares one pod's diagnosis with the three commands that it replaces, over links of several round-trip times.

``make bench`` prints the table. ``make bench-check`` fails when a ratio is a fifth worse than the one in
tests/latency.json, which ``--write`` writes anew. Read the ratios: times depend on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / "tests" / "latency.json"
CAPTURE, POD = "deploy-crash", "api-5dd5887564-884p8"
ROUND_TRIPS = (0, 1, 10, 30, 100)
"""Milliseconds."""
WORSE = 1.2
"""Times the known ratio that is no longer chance, in medians of interleaved runs."""
OURS = (("why-crash", POD),)
BY_HAND = (
    ("describe", "pod", POD),
    ("logs", POD, "--previous"),
    ("get", "events", "--field-selector", f"involvedObject.name={POD}"),
)


def main() -> int:
    """Measure, and print, check or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, default=ROOT / "dist" / "tree", help="the unpacked release archive")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--check", action="store_true", help="fail when a ratio is a fifth worse than the known one")
    parser.add_argument("--write", action="store_true", help="make these ratios the known ones")
    options = parser.parse_args()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PATH"] = f"{options.tree / 'kubectl-plugins'}{os.pathsep}{environment['PATH']}"
    known = json.loads(KNOWN.read_text(encoding="utf-8"))
    found: dict[str, float] = {}
    say("| round trip | why-crash | describe + logs + events | ratio |\n| --- | --- | --- | --- |")
    for milliseconds in ROUND_TRIPS:
        ours, theirs, ratio = compare(environment, milliseconds, options.runs)
        found[str(milliseconds)] = round(ratio, 2)
        say(f"| {milliseconds} ms | {ours * 1000:.0f} ms | {theirs * 1000:.0f} ms | {ratio:.2f} |")
    if options.write:
        KNOWN.write_text(json.dumps({**known, "ratios": found}, indent=1) + "\n", encoding="utf-8")
    worse = [at for at, ratio in found.items() if ratio > known["ratios"].get(at, ratio) * WORSE]
    for at in worse if options.check else ():
        say(f"worse: at {at} ms {found[at]:.2f}, known is {known['ratios'][at]:.2f}")
    return 1 if worse and options.check else 0


def say(line: str) -> None:
    """Print a line at once: the whole takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def compare(environment: Mapping[str, str], milliseconds: float, runs: int) -> tuple[float, float, float]:
    """Return the medians of ours and theirs in seconds, and of the ratios of runs that followed each other."""
    with cluster(milliseconds) as kubeconfig, tempfile.TemporaryDirectory() as home:
        known = {**environment, "KUBECONFIG": str(kubeconfig), "HOME": home}
        seconds(OURS, known)
        seconds(BY_HAND, known)  # discovery is cached from now on
        pairs = [(seconds(OURS, known), seconds(BY_HAND, known)) for _ in range(runs)]
    ours, theirs = zip(*pairs, strict=True)
    return statistics.median(ours), statistics.median(theirs), statistics.median(a / b for a, b in pairs)


def seconds(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> float:
    """Return the wall time of kubectl commands run one after another."""
    begun = time.monotonic()
    for words in commands:
        command = ["kubectl", "-n", CAPTURE, *words] if words[0] != "why-crash" else ["kubectl", *words, "-n", CAPTURE]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


@contextlib.contextmanager
def cluster(milliseconds: float) -> Iterator[Path]:
    """Serve the capture over TLS behind a slow link, both in processes of their own; yield the kubeconfig."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / f) for f in ("lib", "tests"))}
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "config"

        def start(*words: str) -> str:
            process = subprocess.Popen(
                [sys.executable, "-m", *words], env=environment, stdout=subprocess.PIPE, text=True
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            assert process.stdout is not None
            return process.stdout.readline().strip()

        capture = ROOT / "tests" / "captures" / CAPTURE
        start("support.fake_api", str(capture), "--tls", "--kubeconfig", str(kubeconfig))
        content = kubeconfig.read_text(encoding="utf-8")
        port = re.search(r"https://127\.0\.0\.1:(\d+)", content)
        assert port is not None
        if milliseconds:
            slow = start("support.slow_link", port[1], str(milliseconds))
            kubeconfig.write_text(content.replace(port[0], f"https://127.0.0.1:{slow}"), encoding="utf-8")
        yield kubeconfig


if __name__ == "__main__":
    sys.exit(main())
