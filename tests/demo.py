"""Shows the plugins on recorded clusters, printing each command line before its answer."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEMOS = (
    ("why-crash", ("api",), "secret-missing-env"),
    ("why-crash", ("api",), "liveness-slow-start"),
    ("why-crash", ("deployment/api",), "quota-blocked"),
    ("why-crash", ("api",), "healthy"),
    ("oom-budget", ("orders",), "jvm-xmx-over-limit"),
    ("svc-trace", ("web",), "svc-selector-typo"),
    ("svc-trace", ("ingress/web",), "ing-tls-san"),
    ("node-triage", ("node-1",), "node-kubelet-stopped-6m"),
    ("plane-trace", (), "cp-etcd-disk-stall"),
)


def main() -> int:
    """Run every demo; fail when one does."""
    for name, args, capture in DEMOS:
        words = [*args, "--from", f"tests/captures/{capture}"]
        print(f"\n$ kubectl {name} {' '.join(words)}\n", flush=True)
        executable = ROOT / "kubectl-plugins" / f"kubectl-{name.replace('-', '_')}"
        if subprocess.run([sys.executable, executable, *words], cwd=ROOT, check=False).returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
