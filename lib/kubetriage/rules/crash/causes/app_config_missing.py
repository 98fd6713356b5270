"""The program says that a setting or a configuration file is missing, and ended because of it.

Meaning: the image is fine; the pod does not give it what it needs to start: an environment variable, a property, a
file.

Told by: words in the last error of the crashed instance that say that configuration is missing, not merely that some
lookup failed (a bare KeyError is AppError). Whether the variable is declared in the pod, and what is mounted where
the file is expected, is looked up.

Fix: declare the variable (env, envFrom) or mount the file; the nearest declared name is offered.

Source: the messages of common configuration libraries (Spring Boot failure analyzers, Typesafe config, envconfig and
env for Go, pydantic-settings, decouple, envalid, clap), of shells (${X:?}) and of official images' entrypoints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Evidence, Finding
from kubetriage.needs import Get, List, Need
from kubetriage.readers.logs import bodies
from kubetriage.rules.crash.acts import manifest
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.config_files import missing_file, missing_file_finding, unopened_file
from kubetriage.rules.crash.container_spec import mount_of, variable_state
from kubetriage.rules.crash.declared_settings import declare
from kubetriage.rules.crash.known_errors import known_findings, unknown_words
from kubetriage.rules.crash.program_output import LastWords, Said, last_words, short
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy

CODE = "AppConfigMissing"

_V = r"['\"`$]{0,2}\{?(?P<%s>[A-Za-z_][A-Za-z0-9_.-]{1,100}?)\}?['\"`]{0,2}"
_MISSING = (
    r"(?:is|are|was|were)? ?"
    r"(?:not (?:set|defined|provided|specified|found|configured|present)|missing|required|undefined|unset|empty)"
)
# Each with the variable or property that it names, where it names one.
_SETTINGS: tuple[re.Pattern[str], ...] = tuple(
    lazy(pattern, re.IGNORECASE)
    for pattern in (
        # images of Bitnami and others: the X environment variable is empty or not set
        r"(?-i:\b(?P<a10>[A-Z][A-Z0-9]*_[A-Z0-9_]{1,80})) env(?:ironment)?[ _-]?var(?:iable)?s? "
        rf"(?:empty|{_MISSING}|(?:is |are )?empty)",
        # env for Go, envconfig, clap, many programs: environment variable "X" is not set
        rf"(?:env(?:ironment)?[ _-]?var(?:iable)?s?|env var)s?:? {_V % 'a1'}:? {_MISSING}",
        rf"(?:missing|required|undefined|no|unset|set the|specify|define|export|need|expected)(?: (?:required"
        rf"|mandatory|the|an?|following|value for))*"
        rf" env(?:ironment)?[ _-]?var(?:iable)?s?(?: is not set| not set)?[:=]? ?\[?{_V % 'a2'}(?=[\s,.;:'\"\])]|\Z)",
        rf"(?:set|specify|define|provide) (?:the |an? )?{_V % 'a3'} env(?:ironment)?(?: ?var| variable)",
        rf"required key {_V % 'a4'} missing value",
        # Variables in their usual spelling: X is not set, X must be set (also Rust's expect() with NotPresent)
        r"(?-i:(?<![\w.])(?P<a5>[A-Z][A-Z0-9]*_[A-Z0-9_]{1,80}))['\"`]? (?:env\w* )?(?:is |was "
        r"|are )?(?:not (?:set|defined|provided|specified|configured)"
        r"|missing|required|undefined|unset|empty|must be (?:set|provided|specified|defined)|cannot be (?:empty"
        r"|blank|null|undefined)|should not be empty)",
        r"(?:missing|must specify|must set|must provide|you need to specify|required)(?: (?:required|config\w*"
        r"|settings?|the))*:? ['\"`$]?"
        r"(?-i:(?P<a6>[A-Z][A-Z0-9]*_[A-Z0-9_]{1,80}))",
        # shells: ${X:?}, set -u
        r"(?-i:(?P<a7>[A-Z][A-Z0-9_]{2,80})): (?:parameter (?:null or )?not set|unbound variable)",
        r"\A\S{1,200}: (?:line )?\d{1,6}: (?-i:(?P<c2>[A-Z][A-Z0-9_]{2,80})): \S",
        # python-decouple, Django, pydantic-settings
        rf"{_V % 'a8'} not found\. Declare it as envvar",
        r"the (?-i:(?P<a9>[A-Z][A-Z_]{2,60})) setting must not be empty",
        r"validation errors? for \w*(?:Settings|Config)\w*(?: (?P<b1>\w{2,80}) [Ff]ield required|\s*\Z)",
        # Spring
        r"Property: (?P<c3>[\w.\[\]-]{1,200}) Value: \"?null\"?(?=\s|\Z)",
        r"could not resolve placeholder ['\"](?P<b2>[^'\"\s]{1,200})['\"]",
        r"failed to configure a DataSource: ['\"](?P<b3>url)['\"] attribute is not specified",
        # Typesafe config, viper, generic
        r"no configuration setting found for key ['\"](?P<b4>[^'\"\s]{1,200})['\"]",
        r"(?:missing|required)(?: required)? (?:config(?:uration)?|setting|property|parameter|option)(?: (?:key"
        r"|value|property|parameter|option|setting))?"
        rf"(?: is missing)?:? {_V % 'b5'}(?=[\s,;:'\"]|\.(?:\s|\Z)|\Z)",
        rf"(?:config(?:uration)?|setting|property) (?:key |value |property "
        rf"|option )?{_V % 'b6'} (?:is )?(?:not (?:set|defined|specified|configured)|missing|required)",
        # joi, convict, envalid
        r"config(?:uration)? validation error: \"(?P<b7>[\w.]{1,100})\" is required",
        # Rails, official images of databases
        r"missing [`'\"](?P<b8>secret_key_base)[`'\"]",
        r"missing encryption key[^\n]{0,300}\bENV\[['\"](?P<c5>\w{2,80})['\"]\]",
        r"no (?P<c6>application encryption key) has been specified",
        # A value of its own is asked for: Superset, Airflow, and others that refuse the default.
        r"(?:insecure|default|weak|placeholder) (?-i:(?P<c7>[A-Z][A-Z0-9]*_[A-Z0-9_]{1,80}))"
        r"(?= (?:was|is|value|detected)|\.?\s*\Z)",
        # Spring: a placeholder that nothing filled
        r"Property: [\w.\[\]-]{1,200} Value: \"?\$\{(?P<c8>[A-Za-z_][\w.-]{0,100})\}",
        # Keycloak
        r"(?-i:(?P<c9>hostname) is not configured; either)",
        r"(?P<b9>superuser password) is not specified",
        r"(?P<c1>password option) is not specified",
    )
)


_MAY_BE_LINKED = lazy(r"(?i:tcp)|valid port|[A-Z0-9]_(?:PORT|SERVICE_HOST|SERVICE_PORT)\b")


def needs(case: Case) -> Iterator[Need]:
    """Ask for what may hold the missing setting: the ConfigMaps of the pod, and the Services behind service links."""
    for words in last_words(case):
        if _MAY_BE_LINKED.search(words.text[-65536:]):
            yield List("services", case.pod.namespace)
        path = missing_file(words)
        found = mount_of(words.container, path[0]) if path else None
        if found is not None:
            name = text(found[1], "configMap", "name")
            if name:
                yield Get("configmaps", case.pod.namespace, name)


def check(case: Case) -> Iterator[Finding]:
    """Find containers whose last error is missing configuration."""
    yield from known_findings(case, CODE)
    for words in unknown_words(case):
        unfilled = words.find(_UNFILLED)
        if unfilled is not None and unfilled.match[0] in " ".join(_arguments(words)):
            yield _setting(case, words, unfilled)
            continue
        for pattern in _SETTINGS:
            said = words.find(pattern)
            if said is not None:
                yield _setting(case, words, said)
                break
        else:
            file = missing_file(words) or unopened_file(words)
            if file is not None:
                yield missing_file_finding(CODE, case, words, *file)


# Kubernetes leaves $(NAME) in command and args as it stands where no variable has that name.
_UNFILLED = lazy(r"\$\((?P<d1>[A-Za-z_][A-Za-z0-9_.-]{0,100})\)")


def _arguments(words: LastWords) -> list[str]:
    spec = words.container.spec
    return [*texts(spec, "command"), *texts(spec, "args")]


_NO_NAMES = frozenset(
    ("is", "are", "was", "not", "the", "value", "it", "for", "be", "of", "and", "or", "to", "in", "key")
)
"""Words that a pattern can take for the name of a setting."""


# What programs call a setting in words, and the variable that sets it.
_IN_WORDS = {
    "application encryption key": "APP_KEY",
    "hostname": "KC_HOSTNAME",
    "secret_key_base": "SECRET_KEY_BASE",
}
_EXPLAINED = lazy(
    r"(?:must|need to|have to|should|please) (?:specify|set|provide"
    r"|define)[^\n]{0,80}?\b(?P<here>[A-Z][A-Z0-9]*_[A-Z0-9_]{1,80})\b"
    r"|\A\s*-\s(?P<listed>[A-Z][A-Z0-9]*_[A-Z0-9_]{1,80})\s*\Z"
)


def _variable_for(words: LastWords, setting: str) -> str:
    """Return the variable that sets what an error names in words: known, or named on the next lines."""
    if setting in _IN_WORDS:
        return _IN_WORDS[setting]
    error = words.error
    if " " not in setting or error is None:
        return setting
    rows = bodies(words.text)[error.at : error.at + 8]
    found = next((m for row in rows if (m := _EXPLAINED.search(row)) is not None), None)
    return (found["here"] or found["listed"]) if found is not None else setting


_REQUIRED_FIELD = lazy(r"[Ff]ield required\b")
_FIELD_NAME = lazy(r"\s*([A-Za-z_]\w{1,80})\s*\Z")


def _required_fields(words: LastWords) -> list[str]:
    """Return the fields that pydantic lists as missing: each stands alone on the line above its reason."""
    rows = bodies(words.text)
    error = words.error
    near = range(error.at, min(error.end + 40, len(rows) - 1)) if error is not None else range(0)
    found = [m[1] for at in near if _REQUIRED_FIELD.match(rows[at + 1].strip()) and (m := _FIELD_NAME.match(rows[at]))]
    return list(dict.fromkeys(found))


_BINDS = lazy(r"SRCFG\d{5}|APPLICATION FAILED TO START|org\.springframework|io\.(?:quarkus|smallrye)")


def _relaxed(words: LastWords, setting: str) -> str:
    """Name the variable that Spring, MicroProfile or an image's start script take for a dotted property."""
    if "." not in setting:
        return ""
    if not _BINDS.search(words.text):
        return _by_its_like(words, setting)
    # Spring drops dashes, MicroProfile makes them underscores, too.
    dash = "_" if "SRCFG" in words.text or "smallrye" in words.text else ""
    return f" ({re.sub(r'[^A-Za-z0-9-]', '_', setting).replace('-', dash).upper()})"


def _by_its_like(words: LastWords, setting: str) -> str:
    """Name the variable by the prefix of the others, where the image makes its settings of variables (``KAFKA_``)."""
    names = [text(e, "name") for e in objects(words.container.spec, "env")]
    program = re.split(r"[^a-z0-9]", words.container.image.rpartition("/")[2].partition(":")[0].lower())
    heads = [m[0] for n in names if (m := re.match(r"[A-Z][A-Z0-9]*_(?:CFG_|CONF_)?", n)) is not None]
    known = [h for h in heads if h.partition("_")[0].lower() in program]
    prefix = max(known, key=len, default="")
    return f" ({prefix}{re.sub(r'[^A-Za-z0-9]', '_', setting).upper()})" if prefix else ""


def _setting(case: Case, words: LastWords, said: Said) -> Finding:
    container, name = words.container, words.container.name
    setting = next((g for g in said.match.groupdict().values() if g and g.lower() not in _NO_NAMES), "")
    setting = _variable_for(words, setting)
    fields = _required_fields(words) if "validation error" in said.match[0] else []
    if fields:
        # pydantic-settings takes a variable of the field's name in any case, after the class's env_prefix.
        setting = fields[0].upper()
    setting = "spring.datasource.url" if said.match.groupdict().get("b3") == "url" else setting
    is_variable = bool(re.fullmatch(r"[A-Z][A-Z0-9_]*", setting))
    evidence: list[Evidence] = []
    state = ""
    listed = kubectl("set", "env", f"pod/{case.pod.name}", "-c", name, "--list", namespace=case.pod.namespace)
    fixes = [
        manifest(
            words,
            f"Give {name} the setting{f' {setting}' if setting else ''} in {case.workload_name}: an environment "
            f"variable{_relaxed(words, setting)}, an argument or a mounted file.",
            None,
            listed,
        )
    ]
    if is_variable:
        shown, state = variable_state(case, container, setting)
        evidence.append(shown)
        fix, more = declare(case, words, setting, state)
        evidence += more
        fixes = [fix]
    what = f"the setting {setting}" if setting else "a setting"
    lacks = "has no value of its own" if said.match.groupdict().get("c7") else "is missing"
    told = f"; {setting} {state}" if state else ""
    if len(fields) > 1:
        told += f"; missing as well: {', '.join(f.upper() for f in fields[1:6])}"
    return words.finding(
        CODE,
        said.confidence,
        f"{name} ended because {what} {lacks}: {short(said.line)}{told}.",
        quoted=(said.line,),
        evidence=evidence,
        fix=fixes,
        details={"setting": setting} if setting else {},
    )
