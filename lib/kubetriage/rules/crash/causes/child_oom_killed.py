"""A child process of the container was killed for memory, and PID 1 was not.

Meaning: a worker, a build step or a task died; its parent went on, or ended by itself with an exit code of its own.
No status says OOMKilled then: reason Error, or no restart at all.

Told by: the parent's own words that a child ended with SIGKILL, in the log of the running instance or of one that
ended by itself (exit code below 128). Told apart from workers that their parent ended because they took too long.
'kubectl oom-budget' says the same, and reads the kernel's counter of the container where that is to be had.

Fix: fewer workers or a larger limit; the node's kernel log proves it.

Source: kubelet memory.oom.group since 1.28, singleProcessOOMKill 1.32; waitpid(2).
"""

from __future__ import annotations

from collections.abc import Iterator

from kubetriage.model import Finding
from kubetriage.records import replace
from kubetriage.rules.crash.case import Case
from kubetriage.values.commands import kubectl
from kubetriage.values.patterns import lazy

CODE = "ChildOOMKilled"

# A quick look: the patterns of parents are many, and the memory model is not loaded for other crashes.
_SIGNS = lazy(r"(?i)sigkill|signal:? ?\[?\(?(?:9\b|killed)|\bkilled\b|\b137\b|-9\b|terminated abruptly")


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose log says that a child was killed."""
    for container in case.containers:
        log = case.log(container) if case.crash(container) is not None else case.running_log(container)
        if not _SIGNS.search(log.text):
            continue
        from kubetriage.rules.memory.case import Case as MemoryCase
        from kubetriage.rules.memory.killed_children import killed_children

        look = kubectl("oom-budget", f"pod/{case.pod.name}", namespace=case.pod.namespace)
        for finding in killed_children(MemoryCase(container, case.snapshot)):
            yield replace(finding, verify=(*finding.verify, look))
