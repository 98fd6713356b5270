"""Runtimes that do not see the limit and size themselves by the node: a killed container in, candidates out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from kubetriage.model import Actor, Evidence, Fix
from kubetriage.rules.memory import jvm_areas, node_memory
from kubetriage.rules.memory.budget import exact
from kubetriage.rules.memory.budget_builder import Extended, follows_limit
from kubetriage.rules.memory.budget_fixes import flags_patch, option_variable
from kubetriage.rules.memory.candidate import WHILE_STARTING, Candidate
from kubetriage.rules.memory.case import Case
from kubetriage.rules.memory.ergonomics import MIB, supports_containers
from kubetriage.rules.memory.image_defaults import image_defaults
from kubetriage.rules.memory.limit_planner import plan
from kubetriage.rules.memory.oom_kills import Kill
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import format_bytes

# The kernel without CONFIG_MEMCG_V1 lists no memory controller in /proc/cgroups, where JDKs before 25 look for it
# (JDK-8349988): distributions turn it off from 6.12 on.
_KERNEL = lazy(r"(\d+)\.(\d+)")
_FIRST_KERNEL = (6, 12)
_FIXED_JDK = 25
_SANDBOX = lazy(r"gvisor|runsc|kata|firecracker", re.I)


def limit_not_seen(case: Case, kill: Kill) -> Iterator[Candidate]:
    """Find a runtime that does not see the container's limit and sizes itself by the node."""
    runtime, limit = case.detected.runtime, case.limit.size
    if limit is None or case.program is not None:
        return
    sandbox = text(case.pod.raw, "spec", "runtimeClassName")
    if runtime in ("hotspot", "openj9"):
        yield from _blind_jvm(case, kill, limit, sandbox)
    elif runtime == "node":
        model = _inner(case)
        if getattr(model, "old", None) is None and getattr(model, "whole", None) is None:
            yield _blind_node(case, limit)
    elif runtime == "go" and case.process.value("GOMEMLIMIT") is None:
        made = plan("go", limit, threads=1)
        fix = case.template_fix(
            f"Set GOMEMLIMIT={made.variables['GOMEMLIMIT']} for container {case.container.name}: then Go "
            "collects before "
            "the limit instead of letting the heap grow to twice what is live.",
            {"env": [{"name": n, "value": v} for n, v in made.variables.items()]},
        )
        yield Candidate(
            "limit not seen",
            "Go does not read the limit: without GOMEMLIMIT its heap grows to twice what is live",
            "",
            told=False,
            fixes=(fix,),
        )


def _inner(case: Case) -> object:
    model = case.budget.model
    return model.model if isinstance(model, Extended) else model


def _blind_jvm(case: Case, kill: Kill, limit: int, sandbox: str) -> Iterator[Candidate]:
    model = case.budget.model
    if model is None or not follows_limit(model):
        return  # a fixed heap does not depend on what the JVM sees
    inner = _inner(case)
    jdk = inner.jdk if isinstance(inner, jvm_areas.JvmModel) else case.detected.version
    kernel = text(case.node.obj, "status", "nodeInfo", "kernelVersion")
    image = text(case.node.obj, "status", "nodeInfo", "osImage")
    match = _KERNEL.match(kernel)
    new_kernel = match is not None and (int(match[1]), int(match[2])) >= _FIRST_KERNEL
    node = node_memory.node_memory(case.node.obj)
    sized = kill.address_space is not None and kill.address_space > 4 * limit
    old = jdk is not None and supports_containers(jdk, case.detected.update, 2) is not True
    why = ""
    script = image_defaults(case.container.image)
    by_host = script is not None and "host" in script.row and not script.replaced_by(case.process.environment)
    if by_host and script is not None:
        why = f"{script.label} sizes the heap by what '{script.row['host']}' shows, which is the machine"
        old = False
    elif sandbox and _SANDBOX.search(sandbox):
        why = f"runtime class {sandbox} shows the JVM a machine of its own"
    elif old:
        why = f"JDK {jdk} reads limits of cgroup v2 only in later updates (8u372, 11.0.16)"
    elif new_kernel and (jdk is None or jdk < _FIXED_JDK):
        why = (
            f"kernel {kernel} ({image}) may be built without CONFIG_MEMCG_V1, where JDKs before {_FIXED_JDK} "
            "take the container for a host"
        )
    elif not case.node.found and (jdk is None or jdk < _FIXED_JDK):
        why = (
            f"kernels from 6.12 without CONFIG_MEMCG_V1 hide it from JDKs before {_FIXED_JDK}, and cgroup v2 "
            "hides it from old JDKs"
        )
    if not why and not sized:
        return
    heap = _share(case, node)
    clause = "the JVM may not see it and size its heap by the memory of the node"
    clause += f" ({heap})" if heap else ""
    more = f"{why[0].upper()}{why[1:]}." if why else ""
    if sized:
        more = f"It had reserved {format_bytes(kill.address_space or 0)} of address space. {more}".strip()
    evidence = (
        [Evidence("status", f"node/{case.pod.node} nodeInfo.kernelVersion", f"{kernel} ({image})")] if kernel else []
    )
    if sized and kill.event is not None:
        evidence.append(Evidence("event", kill.event.reason, f"total-vm {format_bytes(kill.address_space or 0)}"))
    # Sums that pass the limit by a default alone do not explain a kill while the program starts.
    by_default = case.budget.blamed is None and _soon(kill)
    unexplained = (case.budget.margin or 0) >= 0 or by_default
    told = (bool(why) and case.node.found and (new_kernel or old or by_host or bool(sandbox)) and unexplained) or sized
    yield Candidate(
        "limit not seen",
        clause,
        more,
        told=told,
        fixes=tuple(_blind_jvm_fixes(case, limit, jdk, old=old and not sandbox)),
        evidence=tuple(evidence),
    )


def _soon(kill: Kill) -> bool:
    return kill.end.lifetime is not None and kill.end.lifetime <= WHILE_STARTING


def _share(case: Case, node: int | None) -> str:
    """Say how large the heap is where the JVM takes the node for its machine."""
    inner = _inner(case)
    if node is None or not isinstance(inner, jvm_areas.JvmModel):
        return ""
    heap = inner.areas(node)[0].ceiling.size
    return f"{format_bytes(heap)} of {format_bytes(node)}" if heap else ""


def _blind_jvm_fixes(case: Case, limit: int, jdk: int | None, *, old: bool) -> Iterator[Fix]:
    exec_java = kubectl(
        "exec",
        case.pod.name,
        "-c",
        case.container.name,
        "--",
        "java",
        "-XshowSettings:system",
        "-version",
        namespace=case.pod.namespace,
    )
    made = plan("hotspot", limit, threads=_threads(case), jdk=jdk or 17, variable=option_variable(case))
    # An initial heap that the image's start script sizes in percent would be one of the node's memory, too.
    heap = next((f for f in made.flags if f.startswith("-Xmx")), f"-Xmx{limit // 2 // MIB}m")
    direct = next((f for f in made.flags if "MaxDirectMemorySize" in f), "")
    defaults = image_defaults(case.container.image)
    initial = defaults is not None and (defaults.equal or any("Initial" in o for o in defaults.options))
    flags = [*([f"-Xms{heap.removeprefix('-Xmx')}"] if initial else []), heap, *([direct] if direct else [])]
    patch = flags_patch(case, flags)
    words = (
        f"Give the JVM of container {case.container.name} a heap that does not depend on what it sees: "
        f"{_written(case, patch, flags)} (or -XX:MaxRAM={limit // MIB}m). Percentages and a larger limit do not help."
    )
    yield case.template_fix(words, patch)
    if old:
        yield Fix(
            f"Then use an image of a newer update: JDK {jdk} reads limits of cgroup v2 from "
            f"{'8u372' if jdk == 8 else '11.0.16'} on."
            if jdk in (8, 11)
            else "Then use an image of JDK 17 or later, which reads limits of cgroup v2.",
            actor=Actor.IMAGE,
            commands=(exec_java,),
        )
        return
    yield Fix(
        f"Ask it what it sees: a memory limit that is not {exact(limit)}, or none, proves it. An image with JDK "
        f"{_FIXED_JDK} (or a backport of JDK-8349988) reads it.",
        actor=Actor.IMAGE,
        commands=(exec_java,),
    )


def _written(case: Case, patch: Mapping[str, object] | None, flags: Sequence[str]) -> str:
    """Write the variables of a patch as they are set, else the options."""
    variables = objects(patch or {}, "env")
    if not variables:
        return f"{option_variable(case)}='{' '.join(flags)}'"
    return " ".join(f"{text(v, 'name')}={shlex.quote(text(v, 'value'))}" for v in variables)


def _threads(case: Case) -> int:
    inner = _inner(case)
    return inner.threads.number if isinstance(inner, jvm_areas.JvmModel) else 60


def _blind_node(case: Case, limit: int) -> Candidate:
    made = plan("node", limit, threads=1)
    flag = made.variables.get("NODE_OPTIONS", "")
    fixes = []
    if flag:
        fixes.append(
            case.template_fix(
                f"Run container {case.container.name} with NODE_OPTIONS={flag}: V8 then collects hard before "
                "the limit, "
                "and a leak ends with a readable error.",
                flags_patch(case, [flag]),
            )
        )
    look = kubectl(
        "exec",
        case.pod.name,
        "-c",
        case.container.name,
        "--",
        "node",
        "-e",
        "console.log(v8.getHeapStatistics().heap_size_limit, process.memoryUsage())",
        namespace=case.pod.namespace,
    )
    fixes.append(
        Fix(
            f"Ask V8: a heap_size_limit near or above {exact(limit)} means that it does not see the limit. If "
            "heapUsed stays "
            "small while rss grows, Buffers or native modules take the memory.",
            actor=Actor.APP,
            commands=(look,),
        )
    )
    clause = "V8 may not see the limit: no --max-old-space-size caps its heap"
    more = "Node.js before 20.3 does not read a limit of cgroup v2 and sizes the heap by the memory of the host."
    return Candidate("limit not seen", clause, more, told=False, fixes=tuple(fixes))
