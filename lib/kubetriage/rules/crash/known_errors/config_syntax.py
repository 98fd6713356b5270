"""Configuration files that a program cannot parse, or whose content it does not accept: which key of which object."""

from __future__ import annotations

import posixpath
import re

from kubetriage.model import Evidence, Fix
from kubetriage.redact import clean
from kubetriage.rules.crash.acts import app, image, manifest
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.named_values import in_a_file, numbered
from kubetriage.rules.crash.pod_settings import mounted_files
from kubetriage.rules.crash.program_output import LastWords, Said, path_near, without_clock
from kubetriage.rules.crash.shared_files import kept_file_fix
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

# A line of the file. A number after another one is a column, or a place in a text of the program's own ("near 1:512").
_LINE = lazy(r"(?:\bline[ :]{1,2}|(?<=\S)(?<!\d):)(\d{1,6})(?:[\]:,. )'\"]|\Z)", re.IGNORECASE)


_NO_FIELD = lazy(r"field (\S{1,80}) not found in (?:type|struct) (\S{1,80})")
_NO_TIME = lazy(
    r"parsing time \\{0,3}\"(?P<value>[^\"\\]{1,60})\\{0,3}\" as \\{0,3}\"(?P<layout>[^\"\\]{1,40})\\{0,3}\""
)


def _told(words: LastWords) -> tuple[str, str]:
    """Return what the program says of the content: a clause of the meaning, and one of the act."""
    whole = "\n".join(words.error.lines) if words.error is not None else ""
    unknown = list(dict.fromkeys(m[1] for m in _NO_FIELD.finditer(whole[:8000])))
    if unknown:
        shown = ", ".join(unknown[:5]) + (", ..." if unknown[5:] else "")
        release = f"(image {words.container.image}; the notes of a new release name what replaces them)"
        return f": it knows no field {shown}", f": take out or rename {shown} {release}"
    time = _NO_TIME.search(whole[:8000])
    if time is not None:
        example = "a date as 2024-01-31" if time["layout"] == "2006-01-02" else f"a time like {time['layout']}"
        return f": {time['value']} is no date or time", f": {example} instead of {time['value']}, in quotation marks"
    return "", ""


# Words about the form of a file; without them its content is what is refused.
_FORM = lazy(
    r"yaml:|unmarshal|\b(?:line|column|character|token|syntax|indent\w*|EOF|end of file|tab|brace|quote|mapping)\b",
    re.I,
)


def _content(line: str, path: str) -> str:
    """Return what an error says of a file's content after its path; empty where it is about the file's form."""
    tail = line.rpartition(f"{path}: ")[2] if path and f"{path}: " in line else ""
    tail = " ".join(clean(tail[:200]).split()).rstrip(".")
    return f": {tail}" if tail and not _FORM.search(tail) else ""


def _beyond(words: LastWords, path: str, line: int) -> bool:
    """Tell whether a mounted file is known and has fewer lines: the number is about something else."""
    known = next((content for _, _, at, content in mounted_files(words.case, words.container) if at == path), None)
    return known is not None and line > known.count("\n") + 1


def _syntax(words: LastWords, said: Said) -> Advice | None:
    container, case = words.container, words.case
    path = path_near(said.line, said.match.start()) or path_near(said.line, len(said.line))
    path = re.sub(r":\d+(?::\d+)?\Z", "", path)
    line = _LINE.search(without_clock(said.line[said.match.start() :])) or _LINE.search(without_clock(said.line))
    at_line = f" line {line[1]}" if line is not None and not _beyond(words, path, int(line[1])) else ""
    what, which = _told(words)
    reason = "" if what or at_line else _content(said.line, path)
    verb = "does not accept" if reason else "cannot parse"
    what = what or reason
    found = mount_of(container, path) if path else None
    evidence: tuple[Evidence, ...] = ()
    if found is not None:
        mount, volume = found
        evidence = (
            Evidence(
                "spec",
                f"{container.spec_path}.volumeMounts[{text(mount, 'name')}]",
                f"{text(mount, 'mountPath')} is {volume_words(volume)}",
            ),
        )
        kind, name = (
            ("configmap", text(volume, "configMap", "name"))
            if "configMap" in volume
            else ("secret", text(volume, "secret", "secretName"))
        )
        key = posixpath.basename(path)
        if name:
            label = "ConfigMap" if kind == "configmap" else "Secret"
            held = in_a_file(words, said.line)
            if not at_line and held is not None and (held.config_map, held.key) == (name, key):
                which += f": {held.word}, {numbered(held)}"
            fix = manifest(
                words,
                f"Correct{f'{at_line} of' if at_line else ''} key {key} in {label} {name}{which}, then restart "
                f"{case.workload_name}: "
                "files are read at "
                "the start only.",
                None,
                kubectl("edit", kind, name, namespace=case.pod.namespace),
                *(
                    (kubectl("rollout", "restart", case.workload_name, namespace=case.pod.namespace),)
                    if case.workload.kind in ("Deployment", "StatefulSet", "DaemonSet")
                    else ()
                ),
            )
            return Advice(f"it {verb} {path}{at_line}{what}", (fix,), evidence, details={"file": path})
        return Advice(
            f"it {verb} {path}{at_line}{what}",
            (kept_file_fix(words, path, at_line),),
            evidence,
            details={"file": path},
        )
    target = path or "its configuration"
    fixes: list[Fix] = []
    mounted = [
        f"{text(m, 'mountPath')} ({volume_words(v)})"
        for m in objects(container.spec, "volumeMounts")
        for v in objects(case.pod.raw, "spec", "volumes")
        if text(m, "name") == text(v, "name") and ("configMap" in v or "secret" in v)
    ]
    if mounted and not path:
        fixes.append(manifest(words, f"Correct{at_line or ' the syntax'} of the file in {', '.join(mounted[:3])}."))
    fixes.append(
        image(f"Correct{at_line or ' the syntax'} of {target} in the image, or mount a corrected file over it.")
        if path
        else app(
            f"Correct{at_line or ' the syntax'} of {target}; check variables and arguments that hold YAML or JSON."
        )
    )
    return Advice(f"it {verb} {target}{at_line}{what}", tuple(fixes), evidence, details={"file": path} if path else {})


ROWS: tuple[Row, ...] = (
    Row(
        "config-syntax",
        lazy(
            r"\.(?:ya?ml|toml|json|ini|hcl|xml|properties|conf|cfg)['\"]?,? (?:at |on |in )?(?:line|row) \d{1,6}"
            r"|(?:yaml|toml|json|ini|hcl|xml|properties)[:.][^\n]{0,80}\bline \d{1,6}"
            r"|yaml: (?:unmarshal|line|did not|control|found)"
            r"|unknown directive \"|unexpected (?:\"[^\"]{0,20}\""
            r"|end of file)[^\n]{0,40} in /\S{1,200}|is not terminated by \";\" in"
            r"|directive is not allowed here in|invalid (?:parameter|number of arguments|value"
            r"|port)[^\n]{0,80} in (?:[^\n]{0,40})?/\S{1,200}:\d"
            r"|(?i:error|failed|cannot|could not|unable|invalid)[^\n]{0,60}(?:pars|unmarshal|decod|load)\w*[^\n]{0,120}"
            r"(?:line \d{1,6}|\.ya?ml|\.json|\.toml|\.conf|\.cfg|\.ini|\.properties)[^\n]{0,200}(?::|line \d)"
            r"|invalid character ['\"].{1,4}['\"] (?:looking for|after|in)[^\n]{0,80}"
            r"|while (?:parsing|scanning) a (?:block|flow|simple|plain|quoted)|ScannerError|ParserError: while"
            r"|Syntax error (?:on|at) line \d{1,6}|syntax error in (?:line|file)|duplicate key[^\n]{0,60}\bline \d"
            r"|\[ALERT\][^\n]{0,80}parsing \[/\S{1,200}:\d{1,6}\]|Fatal errors found in configuration"
        ),
        _syntax,
        whole=False,
    ),
)
