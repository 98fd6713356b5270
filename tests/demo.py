"""Shows the plugins on recorded clusters, printing each command line before its answer."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEMOS = (
    ("why-crash", ("api",), "liveness-slow-start"),
    ("oom-budget", ("orders",), "jvm-xmx-over-limit"),
    ("svc-trace", ("ingress/web",), "ing-tls-san"),
    ("node-triage", ("node-1",), "node-kubelet-stopped-6m"),
    ("plane-trace", (), "cp-etcd-disk-stall"),
    ("triage", ("-A",), "node-zone-outage"),
)
"""One screen for each plugin."""


def main() -> int:
    """Run every demo; fail when one does. On a terminal each waits for Enter, so that its screen can be read."""
    waits = sys.stdin.isatty() and sys.stdout.isatty()
    for number, (name, args, capture) in enumerate(DEMOS, 1):
        words = [*args, "--from", f"tests/captures/{capture}"]
        print(f"\n[{number}/{len(DEMOS)}] $ kubectl {name} {' '.join(words)}\n", flush=True)
        executable = ROOT / "kubectl-plugins" / f"kubectl-{name.replace('-', '_')}"
        if subprocess.run([sys.executable, executable, *words], cwd=ROOT, check=False).returncode:
            return 1
        if waits and number < len(DEMOS):
            input("\nEnter for the next command, Ctrl-C to leave ")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
