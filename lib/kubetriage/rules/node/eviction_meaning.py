"""What a kubelet that evicts pods means: in comes what it reclaims, out goes the pressure and what ends it."""

from __future__ import annotations

from kubetriage.rules.node.machine_words import Word
from kubetriage.rules.node.word_findings import Meaning, Stage
from kubetriage.values.commands import kubectl


def eviction_meaning(stage: Stage, word: Word) -> Meaning:
    """Say what the kubelet frees by evicting pods, and what bounds it."""
    code, act = _SHORT.get(word.about, _SHORT_OF_DISK)
    return Meaning(
        code,
        "The kubelet of {name} evicts pods" + (f": {word.about} has run short." if word.about else "."),
        f"{act} Evicted pods stay as failed ones until somebody deletes them.",
        ("disk",) if code == "DiskPressure" else (),
        commands=(
            kubectl("describe", "node", stage.ref.name),
            kubectl("get", "events", "-A", "--field-selector", "reason=Evicted"),
        ),
    )


_SHORT_OF_DISK = (
    "DiskPressure",
    "Find what fills the disk, and bound it: logs, emptyDirs (sizeLimit), writable layers (limits of"
    " ephemeral-storage), images that nothing uses.",
)
_SHORT = {
    "memory": (
        "MemoryPressure",
        "Find which pods use more than they request, and give them requests near their use and limits.",
    ),
    "pids": ("PIDPressure", "Find the pod that starts so many processes or threads, and bound it (podPidsLimit)."),
}
"""By what the eviction manager reclaims: the condition of the node, and what ends it."""
