"""A setting that an error names, by its name or its value, and where in the pod it stands."""

from __future__ import annotations

import re

from kubetriage.model import Evidence, Fix
from kubetriage.readers.logs import bodies, last_error, last_line
from kubetriage.records import dataclass
from kubetriage.redact import clean, secrecy
from kubetriage.rules.crash.acts import manifest, restart
from kubetriage.rules.crash.pod_settings import FileLines, Setting, lines_with, settings_of
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.rules.crash.refused_settings import about_settings
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import mapping, objects, text
from kubetriage.values.patterns import lazy

_LEAST = 4
"""Letters of a value, or of a word in a variable's name, that are too telling to stand in an error by chance."""
_COMMON = frozenset({
    "true", "false", "none", "null", "info", "debug", "warn", "error", "enabled", "disabled", "default", "latest",
    "production", "staging", "prod", "test", "local", "main", "root", "admin", "localhost", "http", "https",
    "server", "client", "user", "host", "port", "path", "name", "type", "value", "config", "data", "service", "app",
    "file", "string", "level", "message", "time", "start", "failed", "fatal", "exit", "startup",
})  # fmt: skip
"""Words that stand in many errors, and prove nothing."""
_ABOVE = 3
"""Lines right above the last error that may name what it sums up."""
_MOST_LINES = 5
"""Lines of a file that hold a word; more of them do not tell where to look."""
_ROLLED = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Origin:
    """A setting, or lines of a mounted file, that an error names."""

    setting: Setting | None
    file: FileLines | None
    said: str
    """The line that names it."""

    @property
    def words(self) -> str:
        """What it is, in a sentence."""
        if self.setting is not None:
            return self.setting.called
        assert self.file is not None
        return f"key {self.file.key} of ConfigMap {self.file.config_map}"


# What is wrong with a value or a name of a setting, not with what the program does with it.
_ABOUT_VALUE = lazy(
    r"\b(?:invalid\w*|expired?|malformed|illegal|bad|wrong|unknown|unsupported|unexpected|unrecogni[sz]ed|deprecated|forbidden|duplicate\w*"
    r"|must|should|has to|needs? to|expected|conflict\w*|mismatch\w*|exceed\w*|larger|greater|less|smaller|higher"
    r"|lower|out of range|not (?:a |an )?(?:valid|allowed|supported|permitted|recogni[sz]ed|divisible|compatible|known)"
    r"|cannot be|can't be|may not be|no longer|only one|multiple|more than one|incompatible|set but|configured"
    r"|parse|parsing|requires?|does ?n[o']t match)\b",
    re.IGNORECASE,
)
# The setting itself is refused, whatever its value is.
_REFUSED = lazy(
    r"\b(?:deprecated|forbidden|removed|no longer|unknown|unsupported|unrecogni[sz]ed|mutually exclusive"
    r"|not (?:be )?(?:allowed|supported|permitted)|(?:cannot|can't|can not|must not|may not|should not) be (?:used|set"
    r"|specified|combined|present|defined))\b",
    re.IGNORECASE,
)


def origin(words: LastWords) -> Origin | None:
    """Return the setting or the lines of a file that the last error names; None where nothing or several fit."""
    said = words.error.summary if words.error is not None else last_line(words.text)
    if not said:
        return None
    held = [s for s in settings_of(words.case, words.container) if s.name]
    above = _above(words)
    # A variable or flag that is called by its name comes before a value.
    for line in (said, *above):
        called = _called(held, line)
        if called is not None and (line is said or _ABOUT_VALUE.search(line)):
            return Origin(called, None, line)
    if words.error is not None:
        named = _only([s for s in held if _named(s, said)])
        if named is not None:
            return Origin(named, None, said)
    beside = _beside(words, held, said)
    if beside is not None:
        return beside
    if _ABOUT_VALUE.search(said):
        spelled = _only([s for s in held if _spelled(s, said)])
        if spelled is not None:
            return Origin(spelled, None, said)
        file = in_a_file(words, said)
        if file is not None:
            return Origin(None, file, said)
        noun = by_noun(held, said)
        if noun is not None:
            return Origin(noun, None, said)
    return None


# A field of an error object that holds what was given: input: 'redis:6379'.
_GIVEN = lazy(r"\s*['\"]?(?:input|value|given|received|actual|got|url|uri|address|path|option|key)['\"]?\s*[:=]", re.I)


def _beside(words: LastWords, held: list[Setting], said: str) -> Origin | None:
    """Return the setting that stands in the lines of an error: in a field of it, or in a line of its source code."""
    error = words.error
    if error is None or not _ABOUT_VALUE.search(f"{said} {error.name}"):
        return None
    for line in error.lines[:200]:
        if _GIVEN.match(line) and (named := _only([s for s in held if _named(s, line)])) is not None:
            return Origin(named, None, line)
    called = [(s, line) for line in error.lines[:200] if (s := _called(held, line)) is not None]
    return Origin(called[0][0], None, called[0][1]) if len({s.name for s, _ in called}) == 1 else None


_NOUNS = lazy(
    r"\b(?P<noun>URL|URI|DSN|connection[ _-]?string|licen[cs]e|bucket|(?:(?<=unknown )|(?<=invalid ))region|time ?zone"
    r"|log ?level|api ?key|issuer|passphrase)\b",
    re.IGNORECASE,
)


def by_noun(held: list[Setting], said: str) -> Setting | None:
    """Return the only setting that is called by the noun of an error: a URL that cannot be parsed, a license."""
    if "://" in said:
        return None  # the error shows what it is about
    for match in _NOUNS.finditer(said[:1000]):
        noun = re.sub(r"[^a-z]", "", match["noun"].lower()).replace("licence", "license")
        kinds = ("url", "uri", "dsn") if noun in ("url", "uri", "dsn", "connectionstring") else (noun,)
        found = [s for s in held if any(k in _names(s) for k in (*kinds, noun))]
        if len({s.name for s in found}) == 1:
            return found[0]
    return None


def _names(one: Setting) -> set[str]:
    """Return the words of a setting's name, and each two neighbours together."""
    parts = [p.lower() for p in _PARTS.findall(one.name)]
    return {*parts, *("".join(parts[i : i + 2]) for i in range(len(parts)))}


def _only(found: list[Setting]) -> Setting | None:
    """Return the only one; of several ways to write the same setting, the first."""
    return found[0] if found and len({s.name for s in found}) == 1 else None


# The program went on without it.
_OVERCOME = lazy(
    r"\b(?:ignor(?:ed|ing)|skipp(?:ed|ing)|fall(?:ing)? ?back|using (?:the )?default|will be (?:removed|ignored)"
    r"|continuing)\b",
    re.IGNORECASE,
)


def _above(words: LastWords) -> list[str]:
    """Return the errors right above the last one, the nearest first: it may only sum them up."""
    if words.error is None:
        return []
    rows = bodies(words.text)[max(words.error.at - _ABOVE, 0) : words.error.at]
    found = []
    for row in reversed(rows):
        told = last_error(row[:4096])
        if told is None or told.weight == "weak":
            break
        if not _OVERCOME.search(row[:4096]):
            found.append(told.summary)
    return found


_FLAG = lazy(r"(?<![\w-])--[a-z][\w-]{3,60}")


def _called(held: list[Setting], said: str) -> Setting | None:
    """Return the setting whose name a line calls first; a variable may hold the flag that is called."""
    found: list[tuple[int, Setting]] = []
    flags = {m[0]: m.start() for m in reversed(list(_FLAG.finditer(said[:4096])))}
    for one in held:
        if one.kind != "args" and "_" in one.name:
            match = re.search(rf"(?<![\w.-]){re.escape(one.name)}(?![\w-])", said)
            if match is not None:
                found.append((match.start(), one))
                continue
        if one.kind == "args" and one.name in flags:
            found.append((flags[one.name], one))
        elif one.kind != "args" and flags and clean(one.value) == one.value:
            within = [flags[f] for f in flags if f in re.split(r"[\s=]", one.value)]
            if within:
                found.append((min(within), one))
    return min(found, key=lambda f: f[0])[1] if found else None


def _named(one: Setting, said: str) -> bool:
    """Tell whether an error names a value; a short or common one counts with a word of its setting's name alone."""
    value = one.value.strip()
    if not value or len(value) > 200 or clean(value) != value:
        return False
    if re.search(rf"(?<![\w./-]){re.escape(value)}(?![\w/-]|\.\w)", said) is None:
        return False
    if len(value) >= _LEAST and value.lower() not in _COMMON and not value.isdigit():
        return True
    name = [w.lower().rstrip("s") for w in re.split(r"[\W_]+", one.name) if len(w) >= _LEAST]
    return any(w in said.lower() for w in name if w not in _COMMON)


_PARTS = lazy(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _spelled(one: Setting, said: str) -> bool:
    """Tell whether an error writes a setting's name in another spelling: ``maxModelLen``, ``max model len``."""
    parts = [p.lower() for p in _PARTS.findall(one.name)]
    told = " ".join(p.lower() for p in _PARTS.findall(said[:2000]))
    # The first words of a variable are mostly the program's.
    starts = range(len(parts) - 1) if one.kind != "args" else range(1)
    return any(
        len("".join(parts[at:])) >= 8 and len(parts) - at >= 2 and f" {' '.join(parts[at:])} " in f" {told} "
        for at in starts
    )


_TOKEN = lazy(
    r"\"(?P<double>[^\"\n]{3,80})\"|'(?P<single>[^'\n]{3,80})'|`(?P<back>[^`\n]{3,80})`"
    r"|(?<![\w./-])(?P<name>[A-Za-z][A-Za-z0-9]{0,40}(?:[_.-][A-Za-z0-9]{1,40}){1,8})(?![\w/-])"
)


_HOST = lazy(
    r"\A(?:[a-z0-9-]{1,63}\.){1,8}(?:com|org|net|io|dev|cloud|local|internal|svc|test|example|[a-z]{2})\Z"
    r"|\A[\d.]{7,15}\Z",
)


def in_a_file(words: LastWords, said: str) -> FileLines | None:
    """Return the lines of a mounted ConfigMap that hold what an error quotes, where only one file does."""
    own = {words.container.name, words.case.workload.name, words.case.pod.name}
    found: list[FileLines] = []
    for match in list(_TOKEN.finditer(said[:2000]))[:12]:
        word = next(g for g in match.groups() if g).strip()
        if len(word) < 3 or word.lower() in _COMMON or word in own or clean(word) != word or "/" in word:
            continue
        if _HOST.search(word):
            continue  # what answers there may be wrong; its name is not
        if word.isalpha() and not about_settings(said):
            continue  # a common noun may stand anywhere
        places = [f for f in lines_with(words.case, words.container, word) if f.key != word]
        if len(places) == 1 and len(places[0].lines) <= _MOST_LINES:
            found.append(places[0])
    files = {(f.config_map, f.key) for f in found}
    return found[0] if len(files) == 1 else None


def origin_hint(one: Origin) -> str:
    """Say in a clause where the value comes from."""
    if one.file is not None:
        return f"; {_shown(one.file.word)} stands in {one.words}, {numbered(one.file)}"
    setting = one.setting
    assert setting is not None
    if setting.source:
        return f"; it is about {setting.called}, which comes from {setting.source}"
    shown = setting.value.strip()
    if not shown or shown not in one.said or len(shown) > 40 or " " in shown or _hidden(setting):
        return f"; it is about {setting.called}"
    return f"; {shown} is the value of {setting.called}"


def _shown(word: str) -> str:
    """Return a word of an error for a sentence; in words where what follows it would be taken for its value."""
    return word if clean(f"{word} stands in key") == f"{word} stands in key" else "what it names"


def _hidden(setting: Setting) -> bool:
    """Tell whether a value may be a secret: one that would be hidden, or whose name says so."""
    return bool(secrecy(setting.name)) or clean(setting.value) != setting.value


def numbered(file: FileLines) -> str:
    """Write the numbers of the lines."""
    return f"line{'s' if len(file.lines) > 1 else ''} {', '.join(str(n) for n in file.lines)}"


def origin_evidence(one: Origin) -> Evidence:
    """Quote the field."""
    if one.file is not None:
        return Evidence("config", f"configmaps[{one.file.config_map}].data[{one.file.key}]", numbered(one.file))
    setting = one.setting
    assert setting is not None
    if setting.source:
        return Evidence("spec", setting.at, f"{setting.name}: {setting.source}")
    return Evidence("spec", setting.at, f"{setting.name}={'...' if _hidden(setting) else setting.value}")


def origin_fixes(words: LastWords, one: Origin) -> tuple[Fix, ...]:
    """Correct the value where it stands, or take out what is refused as such."""
    case, name = words.case, words.container.name
    if one.file is not None:
        file = one.file
        return (
            manifest(
                words,
                f"Correct {_shown(file.word)} in key {file.key} of ConfigMap {file.config_map} ({numbered(file)}; "
                f"{file.path} "
                f"in container {name}), then restart: it is read at the start.",
                None,
                kubectl("edit", "configmap", file.config_map, namespace=case.pod.namespace),
                *restart(words),
            ),
        )
    setting = one.setting
    assert setting is not None
    place = f"container {name} in {case.workload_name}"
    target = f"{case.workload.kind.lower()}/{case.workload.name}"
    settable = setting.kind == "env" and case.keeper is None and case.workload.kind in _ROLLED
    shown = "" if _hidden(setting) or not setting.value else f" ({setting.value})"
    if setting.kind != "args" and setting.name in one.said and _REFUSED.search(one.said):
        without = kubectl("set", "env", target, "-c", name, f"{setting.name}-", namespace=case.pod.namespace)
        source = f", which comes from {setting.source}" if setting.source else ""
        return (
            manifest(
                words,
                f"Remove {setting.called}{shown}{source} from {place}, or change it to what the error "
                f"allows{_file_instead(words, one.said)}.",
                None,
                *((without,) if settable else ()),
            ),
        )
    if setting.holder:
        read = "edit" if setting.resource == "configmap" else "describe"
        return (
            manifest(
                words,
                f"Correct {setting.source}{_scheme(words, setting)}, which is {setting.called} of {place}, then "
                f"restart: variables are read at "
                "the start.",
                None,
                kubectl(read, setting.resource, setting.holder, namespace=case.pod.namespace),
                *restart(words),
            ),
        )
    commands: tuple[str, ...] = ()
    if settable and not setting.source:
        value = f"{setting.name}={placeholder('value')}"
        commands = (kubectl("set", "env", target, "-c", name, value, namespace=case.pod.namespace),)
    elif setting.kind == "args" and case.keeper is None and case.workload.kind in _ROLLED:
        commands = (kubectl("edit", target, namespace=case.pod.namespace),)
    return (
        manifest(
            words,
            f"Correct {setting.called}{shown} of {place} to a value that the error "
            f"allows{_divisors(words, one)}{_scheme(words, setting)}, or bring what it is compared with in line.",
            None,
            *commands,
        ),
    )


def _file_instead(words: LastWords, said: str) -> str:
    """Name the mounted configuration that may hold what a variable no longer may."""
    if "deprecated" not in said and "no longer" not in said and "removed" not in said:
        return ""
    volumes = {text(v, "name"): v for v in objects(words.case.pod.raw, "spec", "volumes")}
    for mount in objects(words.container.spec, "volumeMounts"):
        name = text(volumes.get(text(mount, "name"), {}), "configMap", "name")
        if name:
            return (
                f"; what it set belongs into the configuration file now, here ConfigMap {name} at "
                f"{text(mount, 'mountPath')}"
            )
    return "; what it set belongs into the program's configuration file now"


_DIVISIBLE = lazy(r"\((?P<whole>\d{1,6})\)[^\n]{0,80}\bdivisible by\b")


def _divisors(words: LastWords, one: Origin) -> str:
    """Write out the values that divide what an error wants to have divided, and the devices that go with them."""
    match = _DIVISIBLE.search(one.said)
    setting = one.setting
    if match is None or setting is None or not setting.value.isdigit():
        return ""
    whole, now = int(match["whole"]), int(setting.value)
    fit = [str(n) for n in range(1, max(2 * now, 4) + 1) if n and whole % n == 0]
    limits = mapping(words.container.spec, "resources", "limits")
    device = next((k for k, v in limits.items() if "/" in k and str(v) == setting.value), "")
    more = f", and as many of {device} in resources.limits" if device else ""
    return f" (of {whole} divide: {', '.join(fit)}){more}"


_URL = lazy(r"\b(?:URL|URI|DSN)\b|ERR_INVALID_URL|scheme", re.IGNORECASE)


def _scheme(words: LastWords, setting: Setting) -> str:
    """Say what a URL begins with, where an error is about one and the value has no scheme or is not known."""
    said = f"{words.error.summary} {words.error.name}" if words.error is not None else ""
    if not _URL.search(said) or "://" in setting.value:
        return ""
    return " (a whole URL begins with its scheme, as redis:// or postgresql://, and has no quotes or line end)"
