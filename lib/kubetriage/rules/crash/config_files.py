"""Files of configuration that a program looks for and that nothing brings: which one, and what would bring it.

A certificate or key comes from a Secret, anything else from a ConfigMap or the image; where a volume is mounted at the
place, its object lacks the key.
"""

from __future__ import annotations

import posixpath
import re

from kubetriage.model import Actor, Evidence, Finding, Fix
from kubetriage.rules.crash.acts import manifest
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.program_output import LastWords, Said, path_near, short
from kubetriage.rules.crash.shared_files import writer_fix
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import Obj, mapping, objects, text
from kubetriage.values.nearest import nearest
from kubetriage.values.patterns import lazy

# A file that is configuration by its name or place; modules, libraries and data are not.
_FILE = lazy(
    r"['\"`(]?(?P<file>(?:/|\./|~/)?(?:[\w.@%+-]{1,100}/){0,20}[\w.@%+-]{1,100}\.(?:ya?ml|json|toml|conf|cfg"
    r"|cnf|ini|properties|env|hcl"
    r"|config|xml)|/(?:[\w.@%+-]{1,100}/){1,20}[\w.@%+-]{1,100}\.(?:crt|pem|key|jks|p12|pfx)|/(?:etc|config|conf|configs|run/secrets|var/run/secrets)/[\w.@%+/-]{1,200})['\"`)]?"
)
_FILE_MISSING = lazy(r"no such file or directory|\bENOENT\b|FileNotFound|NoSuchFile|\(2: ", re.IGNORECASE)
# Words that are about the file only where they stand beside it: a key, a type or a user can be missing, too.
_FILE_NAMED = lazy(
    rf"{_FILE.pattern}:? (?:(?:was|is|could) )?(?:not (?:be )?found|does not exist|doesn't exist|(?:is )?missing)"
    rf"|(?:cannot|can't|could not|couldn't|unable to|failed to) (?:find|locate) "
    rf"(?:the )?(?:config\w* )?(?:file )?(?:at )?{_FILE.pattern.replace('<file>', '<found>')}"
    rf"|(?:missing|no) (?:config\w* )?file:? {_FILE.pattern.replace('<file>', '<lost>')}",
    re.IGNORECASE,
)
_NO_CONFIG_FILE = lazy(
    r"config(?:uration)? file ['\"`]?(?P<file>[\w./@%+-]{1,200}?)['\"`]? (?:is |was |does )?(?:not (?:found"
    r"|exist)|missing|\"?Not Found)"
    r"|Config File \"(?P<viper>[\w./-]{1,100})\" Not Found in",
    re.IGNORECASE,
)
_NOT_CONFIG = lazy(
    r"Cannot find module|MODULE_NOT_FOUND|cannot open shared object|package\.json|node_modules|\.dll\b", re.IGNORECASE
)


def missing_file(words: LastWords) -> tuple[str, Said] | None:
    """Return the path of a file of configuration whose lack is the last error, with the line that says so."""
    said = words.find(_NO_CONFIG_FILE, unless=_NOT_CONFIG)
    if said is not None:
        return said.match["file"] or said.match["viper"], said
    said = words.find(_FILE_NAMED, unless=_NOT_CONFIG)
    if said is not None:
        return next(path for path in said.match.groupdict().values() if path), said
    said = words.find(_FILE_MISSING, unless=_NOT_CONFIG)
    named = _FILE.search(said.line) if said is not None else None
    if said is None or named is not None:
        return (named["file"], said) if said is not None and named is not None else None
    return _of_a_volume(words, said)


# A file that could not be opened, where the program gives no reason.
_UNOPENED = lazy(
    r"(?:unable to|failed to|could not|couldn't|cannot|can't|error) (?:open|read"
    r"|load)(?:ing)? (?:the )?(?:[\w-]{1,20} ){0,3}"
    r"['\"]?(?P<file>/[\w.@%+/-]{2,200}?)['\"]?\.?\s*\Z",
    re.IGNORECASE,
)


def unopened_file(words: LastWords) -> tuple[str, Said] | None:
    """Return the path of a file that a program could not open for no given reason, where nothing is mounted."""
    said = words.find(_UNOPENED, unless=_NOT_CONFIG)
    if said is None or said.match["file"].startswith(("/dev/", "/proc/", "/sys/", "/tmp/")):  # noqa: S108
        return None
    path = said.match["file"]
    return (path, said) if mount_of(words.container, path) is None and posixpath.dirname(path) != "/" else None


def _of_a_volume(words: LastWords, said: Said) -> tuple[str, Said] | None:
    # Any other file where a volume of the pod has to bring it.
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if posixpath.splitext(path)[1] else None
    return (path, said) if found is not None and not text(found[0], "name").startswith("kube-api-access") else None


def _unfilled(case: Case, volume: Obj, path: str) -> tuple[str, Fix] | None:
    """Judge a Secret that is there without the key that its file would be: whoever is to fill it has not."""
    name, file = text(volume, "secret", "secretName"), posixpath.basename(path)
    looked = case.snapshot.get("secrets", case.pod.namespace, name) if name else None
    if looked is None or not looked.found or file in (keys := sorted(mapping(looked.obj, "data"))):
        return None
    held = f"has {', '.join(keys[:6])} and no {file}" if keys else "is empty"
    certificate = file.endswith(_CERTIFICATES)
    who = (
        "its certificate controller, cert-manager, or a job of its release"
        if certificate
        else "an operator, an external store or a job of its release"
    )
    look = kubectl("describe", "secret", name, namespace=case.pod.namespace)
    pods = kubectl("get", "certificates,pods" if certificate else "pods", namespace=case.pod.namespace)
    return held, Fix(
        f"Find who fills Secret {name} ({who}; its labels and owner tell), and see that it runs and may write it: this "
        f"container starts when {file} is there.",
        actor=Actor.CLUSTER,
        commands=(look, pods),
    )


_SECRET = lazy(r"pass|secret|token|credential|htaccess|kubeconfig|keytab", re.IGNORECASE)


def _secret_file(words: LastWords, path: str) -> Fix:
    """Mount a file with passwords or tokens: from a Secret."""
    case, file = words.case, posixpath.basename(path)
    own = f"{case.workload.name}-files"
    return manifest(
        words,
        f"Mount a Secret with {file} at {path} in {case.workload_name}: nothing brings the file now.",
        words.container.patch(
            {"volumeMounts": [{"name": "secret-files", "mountPath": path, "subPath": file, "readOnly": True}]},
            volumes=[{"name": "secret-files", "secret": {"secretName": own}}],
        )
        if path.startswith("/")
        else None,
        kubectl("create", "secret", "generic", own, f"--from-file={file}", namespace=case.pod.namespace),
    )


_CERTIFICATES = (".crt", ".key", ".pem", ".p12", ".pfx", ".jks")


def _certificate(words: LastWords, path: str) -> Fix:
    """Mount a certificate or key: from a Secret, as a directory, for a subPath would keep one that was renewed."""
    case, file = words.case, posixpath.basename(path)
    own = f"{case.workload.name}-tls"
    make = (
        ("secret", "tls", own, "--cert=tls.crt", "--key=tls.key")
        if file in ("tls.crt", "tls.key")
        else ("secret", "generic", own, f"--from-file={file}")
    )
    return manifest(
        words,
        f"Mount the Secret with {file} at {posixpath.dirname(path)} in {case.workload_name}; cert-manager or the chart "
        "makes one where it is told to.",
        words.container.patch(
            {"volumeMounts": [{"name": "tls", "mountPath": posixpath.dirname(path), "readOnly": True}]},
            volumes=[{"name": "tls", "secret": {"secretName": own}}],
        )
        if path.startswith("/")
        else None,
        kubectl("get", "secrets", namespace=case.pod.namespace),
        kubectl("create", *make, namespace=case.pod.namespace),
    )


def missing_file_finding(code: str, case: Case, words: LastWords, path: str, said: Said) -> Finding:
    """Report a file that is missing, with what would bring it to that place."""
    container, name = words.container, words.container.name
    found = mount_of(container, path)
    state = "is missing" if said.match.re.pattern != _UNOPENED.pattern else "cannot be opened"
    evidence: list[Evidence] = []
    verify: list[str] = []
    where = "nothing is mounted there"
    directory = posixpath.dirname(path) or "/"
    own = f"{case.workload.name}-config"
    fix = (
        _certificate(words, path)
        if path.endswith(_CERTIFICATES) and directory != "/"
        else _secret_file(words, path)
        if directory != "/" and _SECRET.search(posixpath.basename(path))
        else manifest(
            words,
            f"Mount a ConfigMap or Secret with {path} in {case.workload_name}, or put the file into the image.",
            container.patch(
                {"volumeMounts": [{"name": "config", "mountPath": path, "subPath": posixpath.basename(path)}]},
                volumes=[{"name": "config", "configMap": {"name": own}}],
            )
            if path.startswith("/") and directory != "/"
            else None,
            kubectl(
                "create", "configmap", own, f"--from-file={posixpath.basename(path)}", namespace=case.pod.namespace
            ),
        )
    )
    if found is not None:
        mount, volume = found
        at = f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]"
        evidence.append(Evidence("spec", at, f"{text(mount, 'mountPath')} is {volume_words(volume)}"))
        where = f"{text(mount, 'mountPath')} is {volume_words(volume)}"
        config_map = text(volume, "configMap", "name")
        looked = case.snapshot.get("configmaps", case.pod.namespace, config_map) if config_map else None
        if looked is not None and looked.found:
            keys = sorted({*mapping(looked.obj, "data"), *mapping(looked.obj, "binaryData")})
            file = posixpath.basename(path)
            close = nearest(file, keys)
            held = ", ".join(keys[:8]) or "no keys"
            evidence.append(Evidence("config", f"configmaps[{config_map}].data", held))
            where = f"ConfigMap {config_map} is mounted at {text(mount, 'mountPath')} and has {held}"
            fix = manifest(
                words,
                f"Rename key {close} of ConfigMap {config_map} to {file}, or let {name} read {close}."
                if close
                else f"Add the key {file} to ConfigMap {config_map} in namespace {case.pod.namespace}.",
                None,
                kubectl("edit", "configmap", config_map, namespace=case.pod.namespace),
            )
            verify.append(case.kubectl("get", "configmap", config_map, "-o", "yaml"))
        elif (filled := _unfilled(case, volume, path)) is not None:
            said_of, fix = filled
            where = f"{text(mount, 'mountPath')} is {volume_words(volume)}, which {said_of}"
        elif (written := writer_fix(words, path)) is not None:
            fix = written
        else:
            fix = manifest(
                words, f"Put the file into {volume_words(volume)}, or correct the path {path} in {case.workload_name}."
            )
    elif objects(container.spec, "volumeMounts") and not path.startswith("/"):
        where = "its path is relative to the working directory"
    return words.finding(
        code,
        said.confidence,
        f"{name} ended because the file {path} {state}: {short(said.line)}; {where}.",
        quoted=(said.line,),
        evidence=evidence,
        fix=(fix,),
        verify=verify,
        details={"file": path},
    )
