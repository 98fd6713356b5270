"""What a kubelet's log says of the network plugin's own pod: while that fails, its node has no pod network."""

from __future__ import annotations

from kubetriage.records import dataclass
from kubetriage.rules.network_plugins import network_plugin
from kubetriage.values.patterns import lazy

# pkg/kubelet/pod_workers.go, all versions: klog quotes the error, in which each container's failure is quoted again.
_FAILS = lazy(
    r"Error syncing pod, skipping\\?\" err=\"failed to \\*\"(?:StartContainer|KillContainer)\\*\" for"
    r" \\*\"(?P<container>[\w.-]{1,63})\\*\" with (?P<reason>\w{1,60}): (?P<why>.{1,600}?)\\*\"\"? pod=\""
    r"(?P<namespace>[\w.-]{1,63})/(?P<pod>[\w.-]{1,253})\""
)


@dataclass(frozen=True)
class PluginPod:
    """The network plugin's pod on a machine, of which a container does not run."""

    namespace: str
    name: str
    container: str
    reason: str
    """The kubelet's word, as ImagePullBackOff."""
    why: str


def failing_plugin_pod(line: str) -> PluginPod | None:
    """Return the network plugin's pod that a line of a kubelet says it cannot start; None for any other line."""
    found = _FAILS.search(line)
    if found is None or network_plugin(found["pod"]) is None:
        return None
    why = found["why"].replace("\\", "").strip('" ')
    return PluginPod(found["namespace"], found["pod"], found["container"], found["reason"], why)
