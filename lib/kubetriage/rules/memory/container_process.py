"""The process that a container runs, as far as its pod tells: environment, command line, and what stays unseen.

Kubernetes expands ``$(VAR)``; a shell inside the container expands ``$VAR``. What only the image knows (ENTRYPOINT,
CMD, ENV, start scripts, ``@argfiles``) is invisible from outside and named as such.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping

from kubetriage.found import Lookup
from kubetriage.needs import Get
from kubetriage.readers.pods import Container
from kubetriage.records import dataclass, field
from kubetriage.values.fields import Obj, dig, flag, labels, mapping, objects, text, texts
from kubetriage.values.patterns import lazy
from kubetriage.values.quantity import parse_bytes, parse_millis, parse_quantity

ConfigMaps = Callable[[str], Lookup]
"""Looks up a ConfigMap of the container's namespace."""


@dataclass(frozen=True)
class Variable:
    """One environment variable of the container."""

    name: str
    value: str | None
    """None when the value could not be seen."""
    source: str
    """Where it comes from, in words: ``env``, ``ConfigMap app key JAVA_TOOL_OPTIONS``."""
    why: str = ""
    """For an unseen value: why."""


@dataclass(frozen=True)
class Process:
    """What is known of a container's main process."""

    environment: Mapping[str, Variable]
    argv: tuple[str, ...] = ()
    """The command line of the runtime itself, after ``sh -c``, ``tini`` and the like were taken off."""
    where: str = "command"
    """Field that holds ``argv``: ``command``, ``args`` or ``command and args``."""
    shell: bool = False
    """``argv`` was cut out of a shell command line."""
    read_by_shell: frozenset[str] = frozenset()
    """Variables that the shell command line itself refers to."""
    script: str = ""
    """Start script that is run instead of the runtime (``catalina.sh``), by base name."""
    unseen: tuple[str, ...] = field(default=())
    """What could not be seen, in words for people."""
    env_unseen: tuple[str, ...] = field(default=())
    """Sources of whole sets of variables that could not be read (``envFrom``)."""

    def value(self, name: str) -> str | None:
        """Return the value of a variable; None when it is not set or not seen."""
        variable = self.environment.get(name)
        return variable.value if variable else None

    @property
    def program(self) -> str:
        """Base name of the program, empty when only the image knows it."""
        return base_name(self.argv[0]) if self.argv else ""


def base_name(path: str) -> str:
    """Return the last element of a path."""
    return path.rstrip("/").rpartition("/")[2]


def config_map_needs(container: Container, wanted: Callable[[str], bool]) -> Iterator[Get]:
    """Ask for the ConfigMaps that fill the environment; single references only where ``wanted(name)``."""
    namespace = container.pod.namespace
    for source in objects(container.spec, "envFrom"):
        name = text(source, "configMapRef", "name")
        if name:
            yield Get("configmaps", namespace, name)
    for entry in objects(container.spec, "env"):
        name = text(entry, "valueFrom", "configMapKeyRef", "name")
        if name and wanted(text(entry, "name")):
            yield Get("configmaps", namespace, name)


def read_process(container: Container, config_maps: ConfigMaps) -> Process:
    """Read environment and command line of a container."""
    environment, env_unseen = _environment(container, config_maps)
    command = [expand(word, environment) for word in texts(container.spec, "command")]
    args = [expand(word, environment) for word in texts(container.spec, "args")]
    unseen: list[str] = []
    if not command:
        unseen.append(f"the ENTRYPOINT of image {container.image or '<unknown>'}" + ("" if args else " and its CMD"))
    where = "command and args" if command and args else "command" if command else "args"
    # Without a command the args belong to an entrypoint that nobody sees; they still show flags and programs.
    return _unwrap([*command, *args], Process(environment, (), where, unseen=tuple(unseen), env_unseen=env_unseen))


def _environment(container: Container, config_maps: ConfigMaps) -> tuple[dict[str, Variable], tuple[str, ...]]:
    found: dict[str, Variable] = {}
    hidden: list[str] = []
    for source in objects(container.spec, "envFrom"):
        prefix = text(source, "prefix")
        config_map, secret = text(source, "configMapRef", "name"), text(source, "secretRef", "name")
        if secret:
            hidden.append(f"variables from Secret {secret} (Secrets are not read)")
        if not config_map:
            continue
        lookup = config_maps(config_map)
        if lookup.unseen:
            hidden.append(f"variables from ConfigMap {config_map} ({lookup.why})")
        for key, value in labels(lookup.obj, "data").items():
            found[prefix + key] = Variable(prefix + key, value, f"ConfigMap {config_map}")
    for entry in objects(container.spec, "env"):
        name = text(entry, "name")
        if name:
            found[name] = _variable(name, entry, container, found, config_maps)
    return found, tuple(hidden)


def _variable(
    name: str, entry: Obj, container: Container, known: Mapping[str, Variable], config_maps: ConfigMaps
) -> Variable:
    origin = mapping(entry, "valueFrom")
    if not origin:
        return Variable(name, expand(text(entry, "value"), known), f"env {name}")
    config_map, key = text(origin, "configMapKeyRef", "name"), text(origin, "configMapKeyRef", "key")
    if config_map:
        where = f"env {name} from ConfigMap {config_map} key {key}"
        lookup = config_maps(config_map)
        value = dig(lookup.obj, "data", key)
        if isinstance(value, str):
            return Variable(name, value, where)
        if lookup.unseen:
            return Variable(name, None, where, lookup.why)
        optional = flag(origin, "configMapKeyRef", "optional") is True
        return Variable(name, "" if optional else None, where, "no such ConfigMap or key")
    resource = text(origin, "resourceFieldRef", "resource")
    if resource:
        return Variable(
            name, _resource_value(origin, container), f"env {name} from {resource}", "no limit to derive from"
        )
    secret = text(origin, "secretKeyRef", "name")
    if secret:
        return Variable(name, None, f"env {name} from Secret {secret}", "Secrets are not read")
    return Variable(name, None, f"env {name} from the pod's fields", "filled at start")


def _resource_value(origin: Obj, container: Container) -> str | None:
    """Compute ``resourceFieldRef`` as the kubelet does: the quantity over the divisor, rounded up."""
    resource = text(origin, "resourceFieldRef", "resource")
    spec = container.spec
    other = text(origin, "resourceFieldRef", "containerName")
    if other and other != container.name:
        sibling = container.pod.container(other)
        spec = sibling.spec if sibling else {}
    kind, _, name = resource.partition(".")
    raw = dig(spec, "resources", kind, name)
    divisor = parse_quantity(dig(origin, "resourceFieldRef", "divisor"))
    if name == "cpu":
        amount = parse_millis(raw)
        step = 1000 if not divisor else int(divisor * 1000)
    else:
        amount = parse_bytes(raw)
        step = 1 if not divisor else int(divisor)
    return None if amount is None or step <= 0 else str(-(-amount // step))


_REFERENCE = lazy(r"\$(\$)|\$\(([^()\s]+)\)")


def expand(word: str, environment: Mapping[str, Variable]) -> str:
    """Expand ``$(VAR)`` as the kubelet does (``third_party/forked/golang/expansion``).

    ``$$`` is an escaped dollar; a reference to an unknown variable stays as it is.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        variable = environment.get(match[2])
        return variable.value if variable is not None and variable.value is not None else match[0]

    return _REFERENCE.sub(replace, word)


_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"})
_INITS = frozenset(
    {"tini", "tini-static", "dumb-init", "catatonit", "exec", "nice", "ionice", "setsid", "nohup", "time"}
)
_INIT_OPTIONS_WITH_VALUE = frozenset({"-p", "-e", "-n", "-c", "-r"})  # tini -p SIG -e CODE, dumb-init -r, nice -n
_USER_SWITCHES = frozenset({"gosu", "su-exec"})
_RUNTIME_PROGRAM = lazy(
    r"(java|node|nodejs|npm|npx|yarn|pnpm|dotnet|gunicorn|uvicorn|celery|uwsgi|hypercorn|puma|bundle|bundler|rails|unicorn"
    r"|ruby|nginx|python[\d.]*|php-fpm[\d.]*|php[\d.]*)\Z"
)


def _unwrap(words: list[str], process: Process) -> Process:
    """Take shells, init processes and ``env`` off a command line until the program itself is first."""
    variables = dict(process.environment)
    unseen = list(process.unseen)
    shell, used, script = False, frozenset[str](), ""
    for _ in range(8):  # deeper nesting is not a start command
        if not words:
            break
        name = base_name(words[0])
        if name in _SHELLS:
            at = next((i for i, w in enumerate(words[1:], 1) if re.fullmatch(r"-[a-z]*c[a-z]*", w)), 0)
            if not at or at + 1 >= len(words):
                operand = next((w for w in words[1:] if not w.startswith(("-", "+"))), "")
                script, words = base_name(operand), []
                unseen.append(f"what the script {operand} starts" if operand else "what the shell starts")
                break
            shell = True
            used = frozenset(m[1] or m[2] for m in _SHELL_REFERENCE.finditer(words[at + 1]))
            words, hidden = _from_shell(words[at + 1], variables)
            unseen.extend(hidden)
            continue
        if name in _INITS:
            rest = words[1:]
            while rest and rest[0].startswith("-"):
                option = rest.pop(0)
                if option == "--":
                    break
                if option in _INIT_OPTIONS_WITH_VALUE and rest:
                    rest.pop(0)
            words = rest
            continue
        if name in _USER_SWITCHES:
            words = words[2:]
            continue
        if name == "env" or re.match(r"[A-Za-z_]\w*=", words[0]):
            rest = words[1:] if name == "env" else words
            while rest and (rest[0].startswith("-") or re.match(r"[A-Za-z_]\w*=", rest[0])):
                key, sign, value = rest.pop(0).partition("=")
                if sign and not key.startswith("-"):
                    variables[key] = Variable(key, value, f"{process.where}: {key}=")
            words = rest
            continue
        break
    if (words and not script and words[0].endswith((".sh", ".bat"))) or (
        words and base_name(words[0]) in _KNOWN_SCRIPTS
    ):
        script = base_name(words[0])
        unseen.append(f"what the script {words[0]} starts")
    return Process(variables, tuple(words), process.where, shell, used, script, tuple(unseen), process.env_unseen)


_KNOWN_SCRIPTS = frozenset({"docker-entrypoint.sh", "entrypoint", "catalina.sh", "standalone.sh", "kc.sh", "start.sh"})


def _is_program(word: str) -> bool:
    return bool(_RUNTIME_PROGRAM.match(base_name(word)))


_SHELL_REFERENCE = lazy(r"\$(?:\{([A-Za-z_]\w*)(?::?[-=][^{}]*)?\}|([A-Za-z_]\w*))")
_SHELL_DEFAULT = lazy(r"\$\{([A-Za-z_]\w*)(?::?[-=]([^{}]*))?\}|\$([A-Za-z_]\w*)")


def _from_shell(script: str, variables: dict[str, Variable]) -> tuple[list[str], list[str]]:
    """Cut the command that matters out of a shell command line, with the variables that are known filled in."""
    hidden: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        variable = variables.get(name)
        if variable is not None and variable.value is not None:
            return variable.value
        if variable is None and match[2] is not None:
            return match[2]
        hidden.append(f"${name} in the shell command line")
        return ""

    pieces = re.split(r"('[^']*')", script)
    filled = "".join(p if p.startswith("'") else _SHELL_DEFAULT.sub(replace, p) for p in pieces)
    if re.search(r"\$\(|`", filled):
        hidden.append("a command substitution in the shell command line")
    try:
        lexer = shlex.shlex(filled, posix=True, punctuation_chars=";&|()<>\n")
        lexer.whitespace_split = True
        lexer.whitespace = " \t\r"
        lexer.commenters = ""
        words = list(lexer)
    except ValueError:
        return [], [*hidden, "the shell command line (its quotes do not close)"]
    commands: list[list[str]] = [[]]
    for word in words:
        if word and set(word) <= set(";&|()<>\n"):
            commands.append([])
        else:
            commands[-1].append(word)
    commands = [c for c in commands if c]
    for command in commands:
        if base_name(command[0]) == "export" or all("=" in w for w in command):
            for word in command:
                key, sign, value = word.partition("=")
                if sign and key.isidentifier():
                    variables[key] = Variable(key, value, f"shell: {key}=")
    chosen = next((c for c in commands if any(_is_program(w) for w in c[:4])), commands[-1] if commands else [])
    return chosen, hidden
