"""Finds the kubeconfig, merges it and runs its credential plugin, as kubectl does.

The kubernetes package then turns the result into a connection. This part is ours because the package differs from
kubectl: it takes the last ``current-context`` of several files instead of the first, refuses an empty file, knows no
``--cluster``, ``--user`` and impersonation, and waits for a credential plugin for ever.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Mapping

from kubetriage.cluster.errors import ConfigError, UnreachableError
from kubetriage.records import dataclass, field
from kubetriage.typed import TYPE_CHECKING, Any
from kubetriage.values.fields import Obj, dig, flag, mapping, objects, text, texts
from kubetriage.values.plain_yaml import plain_yaml

if TYPE_CHECKING:
    import subprocess

_FILES = {"cluster": ("certificate-authority",), "user": ("client-certificate", "client-key", "tokenFile")}
_SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


@dataclass
class Kubeconfig:
    """Merged files: the first file that names an entry wins; paths are absolute."""

    current: str = ""
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    contexts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """There was no file, or nothing in it."""
        return not (self.clusters or self.users or self.contexts)


def kubeconfig_files(explicit: str, env: Mapping[str, str]) -> list[str]:
    """Return the files that kubectl would merge, in order.

    Raises ConfigError when the file of ``--kubeconfig`` does not exist; other missing files are skipped.
    """
    if explicit:
        path = os.path.expanduser(explicit)
        if not os.path.exists(path):
            raise ConfigError(f"error: stat {explicit}: no such file or directory")
        return [path]
    listed = env.get("KUBECONFIG", "")
    home = env.get("HOME") or os.path.expanduser("~")
    names = [n for n in listed.split(os.pathsep) if n] if listed else [os.path.join(home, ".kube", "config")]
    return [p for p in dict.fromkeys(names) if os.path.exists(p)]


def load_kubeconfig(explicit: str, env: Mapping[str, str]) -> Kubeconfig:
    """Read and merge the files. Raises ConfigError with kubectl's words when one cannot be read."""
    merged = Kubeconfig()
    for path in kubeconfig_files(explicit, env):
        document = _read(path)
        merged.current = merged.current or text(document, "current-context")
        folder = os.path.dirname(os.path.abspath(path))
        for section, key in _SECTIONS.items():
            place: dict[str, dict[str, Any]] = getattr(merged, section)
            for entry in objects(document, section):
                name = text(entry, "name")
                if name not in place:
                    place[name] = _absolute(dict(mapping(entry, key)), key, folder)
    return merged


def _read(path: str) -> Obj:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise ConfigError(f'error: error loading config file "{path}": open {path}: {words}') from error
    document = _read_yaml(path, content)
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        raise ConfigError(f'error: error loading config file "{path}": not a kubeconfig')
    for section in _SECTIONS:
        if not isinstance(document.get(section), list | None):
            raise ConfigError(f'error: error loading config file "{path}": {section} is not a list')
    if flaw := _type_flaw(document):
        raise ConfigError(f'error: error loading config file "{path}": {flaw}')
    return document


_TEXTS = {
    "cluster": ("server", "tls-server-name", "certificate-authority", "certificate-authority-data", "proxy-url"),
    "user": (
        *("client-certificate", "client-certificate-data", "client-key", "client-key-data", "token", "tokenFile"),
        *("as", "as-uid", "username", "password"),
    ),
    "context": ("cluster", "user", "namespace"),
}
_FLAGS = {"cluster": ("insecure-skip-tls-verify", "disable-compression")}
_GO_NAMES = {bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


def _type_flaw(document: Obj) -> str:
    """Say in Go's words which field has a type that kubectl refuses; empty when all can be read.

    A number in place of a namespace must not silently mean the namespace "default".
    """
    kind, version = document.get("kind", "Config"), document.get("apiVersion", "v1")
    if (kind or "Config", version or "v1") != ("Config", "v1"):
        return f'no kind "{kind}" is registered for version "{version}"'
    if flaw := _no_text(document.get("current-context"), "Config.current-context"):
        return flaw
    for section, key in _SECTIONS.items():
        for entry in objects(document, section):
            place = f"{key.capitalize()}.{section}.{key}"
            inner = mapping(entry, key)
            flaws = [_no_text(entry.get("name"), f"{key.capitalize()}.{section}.name")]
            flaws += [_no_text(inner.get(name), f"{place}.{name}") for name in _TEXTS[key]]
            flaws += [
                f"json: cannot unmarshal {_go_name(inner[name])} into Go struct field {place}.{name} of type bool"
                for name in _FLAGS.get(key, ())
                if not isinstance(inner.get(name), bool | None)
            ]
            if flaw := next(filter(None, flaws), ""):
                return flaw
    return ""


def _no_text(value: object, place: str) -> str:
    if _go_name(value) == "string":
        return ""
    return f"json: cannot unmarshal {_go_name(value)} into Go struct field {place} of type string"


def _go_name(value: object) -> str:
    # Dates are text to Kubernetes' YAML, and nothing is the same as not given.
    return _GO_NAMES.get(type(value), "string")


def _read_yaml(path: str, content: bytes) -> Any:
    try:
        known = content.decode()
        quick = json.loads(known) if known.startswith("{") else plain_yaml(known)
    except (ValueError, RecursionError):
        quick = None
    if quick is not None:
        return quick
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # The loaders that may be chosen here are both safe ones. Of several documents kubectl reads the first.
        return next(yaml.load_all(content, Loader=loader), None)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f'error: error loading config file "{path}": yaml: {line}{problem}') from error


def _absolute(entry: dict[str, Any], key: str, folder: str) -> dict[str, Any]:
    """Make the paths of an entry absolute: they are relative to the file that they stand in."""
    for name in _FILES.get(key, ()):
        if text(entry, name):
            entry[name] = os.path.join(folder, text(entry, name))
    command = text(entry, "exec", "command")
    if "/" in command:
        entry["exec"] = {**mapping(entry, "exec"), "command": os.path.join(folder, command)}
    return entry


def exec_credentials(plugin: Obj, cluster: Obj, env: Mapping[str, str], limit: float) -> dict[str, str]:
    """Run a credential plugin and return the user entry that it stands for.

    ``limit`` is the time limit in seconds, 0 for none. Raises UnreachableError with kubectl's words when the plugin is
    missing, fails, says nonsense or does not answer in time.
    """
    command, version = text(plugin, "command"), text(plugin, "apiVersion")
    mode = text(plugin, "interactiveMode") or "IfAvailable"
    interactive = mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if mode == "Always" and not interactive:
        raise _no_credentials("exec plugin cannot support interactive mode: standard input is not a terminal")
    spec: dict[str, Any] = {"interactive": interactive}
    if flag(plugin, "provideClusterInfo"):
        spec["cluster"] = _cluster_info(cluster)
    variables = {**env, **{text(e, "name"): text(e, "value") for e in objects(plugin, "env") if text(e, "name")}}
    variables["KUBERNETES_EXEC_INFO"] = json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})
    import subprocess

    try:
        process = subprocess.Popen(  # noqa: S603  the user's own kubeconfig names the command
            [command, *texts(plugin, "args")],
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=variables,
            # Without a terminal to share, the plugin and its children can be ended together.
            start_new_session=not interactive,
        )
    except FileNotFoundError:
        hint = " ".join(text(plugin, "installHint").split())
        raise _no_credentials(f"exec: executable {command} not found" + (f": {hint}" if hint else "")) from None
    except OSError as error:
        raise _no_credentials(f"exec: executable {command}: {error.strerror or error}") from error
    try:
        output, _ = process.communicate(timeout=limit or None)
    except subprocess.TimeoutExpired:
        _end(process, alone=not interactive)
        raise _no_credentials(f"exec: executable {command} did not answer within {limit:g}s") from None
    except BaseException:
        _end(process, alone=not interactive)
        raise
    if process.returncode:
        raise _no_credentials(f"exec: executable {command} failed with exit code {process.returncode}")
    return _credentials(output, version)


def _end(process: subprocess.Popen[bytes], alone: bool) -> None:
    import signal
    import subprocess

    with contextlib.suppress(OSError):
        if alone:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    if process.stdout is not None:
        process.stdout.close()


def _credentials(output: bytes, version: str) -> dict[str, str]:
    try:
        answer: Any = json.loads(output)
    except ValueError as error:
        raise _no_credentials(f"decoding stdout: {error}") from error
    if text(answer, "kind") not in ("", "ExecCredential"):
        raise _no_credentials(f'decoding stdout: no kind "{text(answer, "kind")}" is a credential of a plugin')
    answered = text(answer, "apiVersion")
    if answered != version:
        raise _no_credentials(
            f"exec plugin is configured to use API version {version}, plugin returned version {answered}"
        )
    user: dict[str, str] = {}
    token = text(answer, "status", "token")
    if token:
        user["token"] = token
    certificate = text(answer, "status", "clientCertificateData")
    key = text(answer, "status", "clientKeyData")
    if certificate and key:
        user["client-certificate-data"] = base64.b64encode(certificate.encode()).decode()
        user["client-key-data"] = base64.b64encode(key.encode()).decode()
    if not user:
        raise _no_credentials("exec plugin didn't return a token or cert/key pair")
    return user


def _cluster_info(cluster: Obj) -> dict[str, Any]:
    info = {
        k: v
        for k in ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
        if (v := dig(cluster, k))
    }
    authority = text(cluster, "certificate-authority")
    if authority and "certificate-authority-data" not in info:
        with contextlib.suppress(OSError), open(authority, "rb") as file:
            info["certificate-authority-data"] = base64.b64encode(file.read()).decode()
    for extension in objects(cluster, "extensions"):
        if text(extension, "name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info


def _no_credentials(words: str) -> UnreachableError:
    return UnreachableError(f"Unable to connect to the server: getting credentials: {words}")
