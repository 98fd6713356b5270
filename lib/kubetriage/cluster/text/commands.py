"""The command lines that stand in a paste: what was asked, so that the answer below can be read."""

from __future__ import annotations

import re
import shlex

from kubetriage.records import dataclass
from kubetriage.values.patterns import lazy
from kubetriage.values.resources import find_resource

_TOOLS = ("kubectl", "oc", "k", "kubecolor")
# What stands before a command: a prompt, a mark of Markdown, a word that introduces it.
_START = lazy(
    r"(?:[^\n]{0,80}?(?:[$#%>❯➜λ»]|\(\w{1,20}\))\s{1,4})?(?:[*_`#>+-]{1,6}\s{0,3})?"
    r"(?:(?:[Oo]utput (?:of|from)|[Rr]esult of|[Rr]unning|[Rr]an|the)[: ]{1,3})?[`*\"']{0,3}"
    r"((?:sudo\s+|time\s+|watch\s+(?:-n\s*\d+\s+)?|microk8s(?:\.|\s+)|k3s\s+|k0s\s+|minikube\s+(?:--\s+)?|rke2\s+)?"
    r"(?:\S{0,60}/)?(?:kubectl(?:\.exe)?|oc|k|kubecolor|journalctl|dmesg|crictl|docker|podman|nerdctl|talosctl|stern|date|cat|tail"
    r"|less|head|zcat|ssh|systemctl)(?:\s[^\n]{0,600})?)\Z"
)
RUNTIMES = ("crictl", "docker", "podman", "nerdctl")
"""Tools of container runtimes."""
_REMOTE = ("journalctl", "dmesg", "crictl", "kubectl", "cat", "tail")
_VERBS = frozenset(
    {"get", "describe", "logs", "log", "top", "version", "events", "cluster-info", "explain", "apply", "exec"}
)
_WITH_VALUE = frozenset(
    [
        "-n",
        "--namespace",
        "-o",
        "--output",
        "-l",
        "--selector",
        "-c",
        "--container",
        "--tail",
        "--since",
        "--since-time",
        "--context",
        "--kubeconfig",
        "--field-selector",
        "--sort-by",
        "--limit-bytes",
        "--cluster",
        "--user",
        "-s",
        "--server",
        "--as",
        "-L",
        "--label-columns",
        "--max-log-requests",
        "--request-timeout",
        "--chunk-size",
        "-u",
        "--unit",
        "-p",
    ]
)


@dataclass(frozen=True)
class Command:
    """What a command line asked for."""

    tool: str
    """``kubectl`` (``oc`` too), ``journalctl``, ``dmesg``, ``date``, or another program."""
    verb: str = ""
    resources: tuple[str, ...] = ()
    """Plural names, as far as they are known; what is not stands as it was written."""
    names: tuple[str, ...] = ()
    namespace: str = ""
    everywhere: bool = False
    output: str = ""
    container: str = ""
    previous: bool = False
    chosen: bool = False
    """The answer may be a part: a selector, a name, a filter behind a pipe."""
    unit: str = ""
    """The unit of a journal, or the file that was printed."""
    line: str = ""


def read_command(row: str) -> Command | None:
    """Read a line as a command; None when it is none."""
    if not any(
        word in row
        for word in (
            "kubectl",
            "oc ",
            "k ",
            "kubecolor",
            "journalctl",
            "dmesg",
            "crictl",
            "docker",
            "podman",
            "nerdctl",
            "talosctl",
            "stern",
            "date",
            "cat ",
            "tail ",
            "less ",
            "head ",
            "ssh ",
            "systemctl",
        )
    ):
        return None
    match = _START.match(row.strip()[:1000])
    if match is None:
        return None
    line = match[1].strip().strip("`*\"'").rstrip(":").rstrip("`*")
    bare = match.start(1) == 0
    line, _, piped = line.partition("|")
    try:
        words = shlex.split(line.strip(), comments=True)
    except ValueError:
        words = line.split()
    while words and (
        words[0] in ("sudo", "time", "watch", "k3s", "k0s", "microk8s", "minikube", "rke2", "--")
        or words[0].startswith("-")
    ):
        words = words[1:]
    if not words:
        return None
    if words[0] == "ssh" and not bare:
        # What runs on the other machine: the first word that is a tool.
        inner = next((at for at, word in enumerate(words) if word.rpartition("/")[2] in _REMOTE), 0)
        words = words[inner:]
    tool = words[0].rpartition("/")[2].removesuffix(".exe").removeprefix("microk8s.")
    if tool in _TOOLS:
        return _kubectl(words[1:], bool(piped), row.strip(), bare)
    if tool == "journalctl":
        return Command(tool, unit=_unit(words), line=row.strip())
    if tool == "talosctl" and "dmesg" in words:
        return Command("dmesg", line=row.strip(), unit="kernel")
    if tool == "talosctl":
        return Command(
            tool, verb=next((w for w in words[1:] if not w.startswith("-")), ""), unit=words[-1], line=row.strip()
        )
    if tool in ("dmesg", "stern") or (tool == "date" and not bare):
        return Command(tool, line=row.strip(), unit="kernel" if tool == "dmesg" else "")
    if tool in RUNTIMES and len(words) > 2 and words[1] in ("-n", "--namespace"):
        # nerdctl -n k8s.io logs ID
        words = [tool, *words[3:]]
    if tool in RUNTIMES and len(words) > 1 and words[1] == "logs":
        unit = [word for word in words if ">" not in word][-1]
        return Command(tool, verb="logs", unit=unit, line=row.strip())
    if tool in RUNTIMES and len(words) > 2 and words[1] in ("inspect", "ps"):
        return _of_runtime(tool, words, row.strip())
    if not bare and tool in ("cat", "tail", "less", "head", "zcat", "ssh", "systemctl", "date"):
        return Command(tool, unit=words[-1] if len(words) > 1 else "", line=row.strip())
    return None


def _of_runtime(tool: str, words: list[str], line: str) -> Command:
    """Read what a runtime's tool was asked of a container: its ID or name, and a template for the answer."""
    plain, output, at = list[str](), "", 2
    while at < len(words):
        word = words[at]
        at += 1
        if word in ("-f", "--format", "-o", "--output") and at < len(words):
            output = words[at]
            at += 1
        elif word.startswith(("--format=", "--output=", "-f=")):
            output = word.partition("=")[2]
        elif not word.startswith("-"):
            plain.append(word)
    return Command(tool, verb=words[1], unit=plain[0] if plain else "", output=output, line=line)


def _unit(words: list[str]) -> str:
    for at, word in enumerate(words):
        if word in ("-u", "--unit") and at + 1 < len(words):
            return words[at + 1].removesuffix(".service")
        if word.startswith("--unit="):
            return word.partition("=")[2].removesuffix(".service")
        if re.fullmatch(r"-[a-zA-Z]*u", word) and at + 1 < len(words):
            return words[at + 1].removesuffix(".service")
        if word in ("-k", "--dmesg"):
            return "kernel"
    return ""


def _kubectl(words: list[str], piped: bool, line: str, bare: bool) -> Command | None:
    flags: dict[str, str] = {}
    plain: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word in (">", ">>", "&&", ";", "2>&1", "<") or (word == "--" and plain[:1] == ["exec"]):
            # What runs inside has options of its own.
            break
        if not word.startswith("-") or word in ("-", "--"):
            plain.append(word)
            continue
        name, has, value = word.partition("=")
        if has:
            flags[name] = value
        elif name in _WITH_VALUE and name != "-p" and at < len(words):
            flags[name] = words[at]
            at += 1
        elif name.startswith("-n") and not name.startswith("--") and len(name) > 2:
            flags["-n"] = name[2:]
        elif name.startswith("-o") and not name.startswith("--") and len(name) > 2:
            flags["-o"] = name[2:]
        else:
            flags[name] = ""
    if not plain or plain[0] not in _VERBS:
        return None
    if bare and any(not re.fullmatch(r"[\w./,:@%+-]+", word) for word in plain if plain[0] != "exec"):
        return None
    verb = "logs" if plain[0] == "log" else plain[0]
    resources, names = _objects(verb, plain[1:])
    namespace = flags.get("-n") or flags.get("--namespace") or ""
    return Command(
        tool="kubectl",
        verb=verb,
        resources=resources,
        names=names,
        namespace="" if namespace.startswith("$") or "<" in namespace else namespace,
        everywhere="-A" in flags or "--all-namespaces" in flags,
        output=flags.get("-o") or flags.get("--output") or "",
        container=flags.get("-c")
        or flags.get("--container")
        or (plain[2] if verb == "logs" and len(plain) > 2 else ""),
        previous="--previous" in flags or "-p" in flags,
        chosen=piped
        or bool(names)
        or any(f in flags for f in ("-l", "--selector", "--field-selector", "--for", "--types")),
        line=line,
    )


def _objects(verb: str, words: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part the arguments into resources and names, as kubectl does."""
    if verb in ("logs", "exec"):
        words = words[:1]
        if words and "/" not in words[0]:
            return ("pods",), tuple(words)
    if verb == "top":
        verb, words = "get", [w for w in words if w]
    slashed = [w.split("/", 1) for w in words if "/" in w]
    if slashed:
        return tuple(dict.fromkeys(_plural(kind) for kind, _ in slashed)), tuple(name for _, name in slashed)
    if verb == "events":
        return ("events",), ()
    if not words:
        return (), ()
    return tuple(_plural(word) for word in words[0].split(",") if word), tuple(words[1:])


def _plural(word: str) -> str:
    if word.lower() == "all":
        return "all"
    found = find_resource(word)
    return found.plural if found is not None else word.lower()
