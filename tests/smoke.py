"""Runs every plugin against the live cluster of the current context: each must answer, and name a planted fault."""

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMESPACE = "kubetriage-smoke"
BROKEN = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "broken", "namespace": NAMESPACE},
    "spec": {
        "containers": [
            {"name": "app", "image": "busybox:1.36", "envFrom": [{"secretRef": {"name": "no-such-secret"}}]},
        ]
    },
}


def kubectl(*words: str, stdin: str | None = None) -> None:
    """Run kubectl, loudly."""
    subprocess.run(["kubectl", *words], input=stdin, text=True, check=True)


def answer(name: str, *words: str) -> dict:
    """Return the document of one plugin."""
    executable = ROOT / "kubectl-plugins" / f"kubectl-{name.replace('-', '_')}"
    done = subprocess.run(
        [sys.executable, executable, *words, "-o", "json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    return json.loads(done.stdout)


def main() -> int:
    """Plant a fault, ask, clean up."""
    kubectl("create", "namespace", NAMESPACE)
    try:
        kubectl("apply", "-f", "-", stdin=json.dumps(BROKEN))
        cause = ""
        for _ in range(60):
            items = answer("why-crash", "broken", "-n", NAMESPACE)["items"]
            cause = items[0]["cause"]
            if cause == "SecretNotFound":
                break
            time.sleep(2)
        if cause != "SecretNotFound":
            sys.exit(f"why-crash says {cause}, not SecretNotFound")
        answer("oom-budget", "-n", "kube-system")
        answer("svc-trace", "-n", "kube-system")
        answer("node-triage")
        answer("plane-trace", "--interval", "2s")
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    return 0


if __name__ == "__main__":
    sys.exit(main())
