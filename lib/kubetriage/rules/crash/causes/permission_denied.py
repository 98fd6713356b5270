"""The operating system refused the program an access, and the program ended because of it.

Meaning: the program runs as a user that may not open the file, write the directory, bind the port or make the system
call. The program itself did start: this is not a command that cannot be executed.

Told by: EACCES or EPERM ("Permission denied", "Operation not permitted") in the last error of the crashed instance.
The path is looked up among the mounts, and the user, fsGroup and capabilities in force are quoted. Told apart from
exit code 126 (CommandNotExecutable), from a database's "permission denied for table" and from ssh's "Permission
denied (publickey)".

Fix: fsGroup for a volume, a writable directory for the user, a port above 1023 or NET_BIND_SERVICE, the capability
that the call needs.

Source: errno(3) EACCES and EPERM, capabilities(7), ip(7) ip_unprivileged_port_start; core/v1
PodSecurityContext.fsGroup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Finding, Fix, RuledOut
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import mount_of, security, volume_words
from kubetriage.rules.crash.known_errors import known_findings, unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, path_near, short, without_clock
from kubetriage.values.fields import mapping, text, texts
from kubetriage.values.patterns import lazy

CODE = "PermissionDenied"

# strerror(EACCES, EPERM), Node's names, the JDK's and .NET's exceptions, Python's and Rust's numbers.
_DENIED = lazy(
    r"permission denied|\bEACCES\b|\bEPERM\b|operation not permitted|AccessDeniedException: /"
    r"|UnauthorizedAccessException"
    r"|errno 13\b|os error 13\b|\(13: ",
    re.IGNORECASE,
)
# The same words from something that is not the operating system: SQL grants, ssh, gRPC status, a remote file store.
_OTHERS = lazy(
    r"permission denied (?:for|to|on) (?:relation|table|schema|database|sequence|function|view|create|set|role"
    r"|user|language"
    r"|topic|queue)|\(publickey|PermissionDenied desc|PERMISSION_DENIED|(?:topic|group) authorization"
    r"|Code: 403",
    re.IGNORECASE,
)
# In .NET, EACCES of a socket is about binding it: SocketException (13).
_BIND = lazy(r"\bbind\b|\blisten\b|could not bind|BindException|SocketException\b", re.IGNORECASE)
_PORT = lazy(r"(?:[\w.*\]]|::|\s):(\d{1,5})(?!\d)|\bport\D{0,3}(\d{1,5})", re.IGNORECASE)
_CALLS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (lazy(r"\bchown|chgrp|changing owner", re.IGNORECASE), "CHOWN", "change owners"),
    (
        lazy(r"setuid|setgid|setgroups|initgroups|\bsu(?:do)?:|su-exec|gosu|switching to", re.IGNORECASE),
        "SETUID",
        "change its user",
    ),
    (lazy(r"mlock|memory lock", re.IGNORECASE), "IPC_LOCK", "lock memory"),
    (lazy(r"ptrace", re.IGNORECASE), "SYS_PTRACE", "trace processes"),
    (lazy(r"iptables|netlink|nft|ip link|tun", re.IGNORECASE), "NET_ADMIN", "change the network"),
    (lazy(r"raw socket|\bping\b|icmp", re.IGNORECASE), "NET_RAW", "use raw sockets"),
    (lazy(r"\bmount\b|sethostname|unshare|bpf", re.IGNORECASE), "SYS_ADMIN", "make that system call"),
)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is an access that the operating system refused."""
    yield from known_findings(case, CODE)
    for words in unknown_words(case):
        said = words.find(_DENIED, unless=_OTHERS)
        if said is not None:
            yield _finding(case, words, said)


def _finding(case: Case, words: LastWords, said: Said) -> Finding:
    container, name = words.container, words.container.name
    user, user_at = security(container, "runAsUser")
    group, _ = security(container, "runAsGroup")
    fs_group, fs_group_at = security(container, "fsGroup")
    evidence = [Evidence("spec", user_at or f"{container.spec_path}.securityContext.runAsUser", _shown(user))]
    as_user = f" as user {user}" if user is not None else ""
    ruled = (RuledOut("CommandNotExecutable", f"the program ran: exit code {words.end.exit_code}, with output"),)
    port = _privileged_port(said.line)
    bind = _BIND.search(said.line) or _binding_frame(words, said)
    if bind is not None and (port is not None or bind[0].lower() != "listen"):
        which = f"port {port}" if port is not None else "its port"
        what = f"{name} could not listen on {which}{as_user}: ports below 1024 need NET_BIND_SERVICE"
        fix = case.template_fix(
            f"Let {name} listen on a port above 1023 (the Service can keep {port or 'its port'} with another "
            f"targetPort), or give "
            f"container {name} of {case.workload_name} the capability NET_BIND_SERVICE.",
            container.patch({"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}}),
        )
        return words.finding(
            CODE, said.confidence, f"{what}.", quoted=(said.line,), evidence=evidence, ruled_out=ruled, fix=(fix,)
        )
    path = path_near(said.line, said.match.start())
    call = next(((cap, verb) for pattern, cap, verb in _CALLS if pattern.search(said.line)), None)
    if call is not None:
        capability, verb = call
        capabilities, at = security(container, "capabilities")
        dropped = texts(mapping({"c": capabilities}, "c"), "drop")
        if dropped:
            evidence.append(Evidence("spec", f"{at}.drop", ", ".join(dropped)))
        what = f"{name} may not {verb}{as_user}" + (f" ({path})" if path else "")
        fix = case.template_fix(
            f"Make {name} do without it (for owners: fsGroup instead of chown), or give container {name} of "
            f"{case.workload_name} "
            f"the capability {capability}.",
            container.patch({"securityContext": {"capabilities": {"add": [capability]}}}),
        )
        return words.finding(
            CODE,
            said.confidence,
            f"{what}: {short(said.line)}.",
            quoted=(said.line,),
            evidence=evidence,
            ruled_out=ruled,
            fix=(fix,),
        )
    found = mount_of(container, path) if path else None
    if found is None:
        place = f"{path} in the image" if path else "a file"
        fix = Fix(
            f"Make {path or 'the path'} accessible to "
            f"{f'user {user}' if user is not None else 'the image user'} in the image (chown, "
            f"chmod), or mount an emptyDir there in {case.workload_name}."
        )
    else:
        mount, volume = found
        place = f"{path} on {volume_words(volume)}"
        at = f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]"
        evidence.append(Evidence("spec", at, f"{text(mount, 'mountPath')} is {volume_words(volume)}"))
        evidence.append(Evidence("spec", fs_group_at or "spec.securityContext.fsGroup", str(fs_group or "not set")))
        if "hostPath" in volume:
            fix = Fix(
                f"fsGroup does not change a hostPath: give {text(volume, 'hostPath', 'path')} on node "
                f"{case.pod.node} to "
                f"{f'user {user}' if user is not None else 'the user of the image'}."
            )
        elif fs_group is None and any(
            k in volume for k in ("persistentVolumeClaim", "emptyDir", "csi", "ephemeral", "nfs")
        ):
            wanted = next((v for v in (group, user) if isinstance(v, int) and v > 0), 1000)
            fix = case.template_fix(
                f"Set fsGroup {wanted} in the pod's securityContext of {case.workload_name}, so that the volume "
                f"belongs to "
                f"that group (use the group that {name} runs with).",
                {"securityContext": {"fsGroup": wanted}},
            )
        else:
            fix = Fix(f"Check owner and mode of {path} (kubectl exec, ls -ln), and the defaultMode of the volume.")
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because it may not access {place}{as_user}: {short(said.line)}.",
        quoted=(said.line,),
        evidence=evidence,
        ruled_out=ruled,
        fix=(fix,),
        details={"path": path} if path else {},
    )


def _binding_frame(words: LastWords, said: Said) -> re.Match[str] | None:
    """Find the call that binds a socket in the stack trace of an error that names no path."""
    if words.error is None or path_near(said.line, said.match.start()):
        return None
    frames = (re.search(r"\b(?:bind|server_bind|DoBind)\(", line) for line in words.error.lines)
    return next((match for match in frames if match), None)


def _shown(value: object) -> str:
    return "not set (the user of the image)" if value is None else str(value)


def _privileged_port(line: str) -> int | None:
    for match in _PORT.finditer(without_clock(line)):
        port = int(match[1] or match[2])
        if 0 < port < 1024:
            return port
    return None
