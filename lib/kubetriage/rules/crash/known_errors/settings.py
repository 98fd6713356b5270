"""Settings that the program does not understand, or that do not fit: flags, files, addresses, the API."""

from __future__ import annotations

from kubetriage.model import Evidence, RuledOut
from kubetriage.redact import clean
from kubetriage.rules.crash.acts import app, image, manifest, node, on_node, place, where
from kubetriage.rules.crash.container_spec import mount_of, volume_words
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.next_looks import history, rollback
from kubetriage.rules.crash.own_advice import own_advice
from kubetriage.rules.crash.pod_settings import one_word
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl
from kubetriage.values.fields import objects, text, texts
from kubetriage.values.patterns import lazy


def _group(said: Said) -> str:
    return next((g for g in said.match.groups() if g), "")


def _flag(words: LastWords, said: Said) -> Advice:
    container = words.container
    joined = _one_word(words, said)
    if joined is not None:
        return joined
    wanted = _group(said).split("=")[0].strip("'\"`: ")
    given = [*texts(container.spec, "command"), *texts(container.spec, "args")]
    holds = next(
        (
            f"{field}[{i}]"
            for field in ("args", "command")
            for i, v in enumerate(texts(container.spec, field))
            if wanted and wanted.lstrip("-") in v.lstrip("-").split("=")[0].split()
        ),
        "",
    )
    shown = wanted or "one of its arguments"
    evidence = (Evidence("spec", f"{container.spec_path}.args", " ".join(given)[:300]),) if given else ()
    at = f" ({holds})" if holds else ""
    proposed = own_advice(words)
    named = f" Its log proposes: {proposed}." if proposed else ""
    fixes = [
        manifest(
            words,
            f"Remove or rename {shown} in the args of {where(words)}{at}; image {container.image} does not know "
            f"it.{named}",
        ),
        manifest(
            words,
            "If only the image's tag changed, its release notes name the new flag"
            + ("; until then go back." if rollback(words) else "."),
            None,
            *(rollback(words) or history(words)),
        ),
    ]
    if not given:
        fixes[0] = image(
            f"The command stands in image {container.image}: correct {shown} in its ENTRYPOINT or CMD.{named}"
        )
    return Advice(f"it does not know {shown}", tuple(fixes), evidence, details={"argument": wanted} if wanted else {})


def _family(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"it listens on an IPv6 address, and IPv6 is switched off on {place(words)}",
        (
            manifest(
                words,
                f"Remove the IPv6 listener of {where(words)} (nginx: the line listen [::]:PORT; others: bind 0.0.0.0).",
            ),
            node(f"Or enable IPv6 on {place(words)}.", on_node(words, "sysctl", "net.ipv6.conf.all.disable_ipv6")),
        ),
    )


_LOOPBACK_6 = lazy(r"\[::1?\]:(\d{1,5})")


def _no_loopback_6(words: LastWords, port: str) -> Advice:
    """Explain that even ::1 cannot be bound: the node has IPv6 switched off."""
    container = words.container
    held = [
        (f"{container.spec_path}.env[{text(e, 'name')}]", f"variable {text(e, 'name')}", text(e, "value"))
        for e in objects(container.spec, "env")
    ] + [
        (f"{container.spec_path}.{f}[{i}]", f"{f}[{i}]", v)
        for f in ("command", "args")
        for i, v in enumerate(texts(container.spec, f))
    ]
    found = [h for h in held if f"[::1]:{port}" in h[2] or f"[::]:{port}" in h[2]]
    named = f" ({', '.join(h[1] for h in found)})" if found else ""
    return Advice(
        f"it listens on an IPv6 address (port {port}), and IPv6 is switched off on {place(words)}",
        (
            manifest(
                words,
                f"Take the listener [::1]:{port} or [::]:{port} out of the settings of {where(words)}{named}; the IPv4 "
                "one stays.",
            ),
            node(f"Or enable IPv6 on {place(words)}.", on_node(words, "sysctl", "net.ipv6.conf.all.disable_ipv6")),
        ),
        tuple(Evidence("spec", h[0], h[2][:200]) for h in found),
        details={"port": int(port)},
    )


def _not_local(words: LastWords, said: Said) -> Advice:
    loopback = _LOOPBACK_6.search(said.line)
    if loopback is not None:
        return _no_loopback_6(words, loopback[1])
    pod_ip = text(words.case.pod.raw, "status", "podIP")
    return Advice(
        "the address that it wants to listen on is not one of this pod"
        + (f" (the pod has {pod_ip})" if pod_ip else ""),
        (
            manifest(
                words,
                f"Let {where(words)} listen on 0.0.0.0 or [::], or take the address from status.podIP.",
                words.container.patch(
                    {"env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}
                ),
            ),
        ),
    )


def _discovery(words: LastWords, _: Said) -> Advice:
    return Advice(
        "Elasticsearch or OpenSearch refuses its default discovery settings on a non-loopback address",
        (
            manifest(
                words,
                f"One node: discovery.type=single-node in {where(words)}. A cluster: discovery.seed_hosts and "
                "cluster.initial_master_nodes.",
                words.container.patch({"env": [{"name": "discovery.type", "value": "single-node"}]}),
            ),
        ),
    )


_NEVER_RAN = (RuledOut("RuntimeOutOfMemory", "the JVM refused its options and never ran the program"),)


def _one_word(words: LastWords, said: Said) -> Advice | None:
    """Judge options that reach the program as one argument, because no shell splits a variable in args."""
    joined = one_word(words.container, said.line)
    if joined is None:
        return None
    name, value, at = joined
    java = "java" in said.line.lower() or "heap" in said.line or "VM" in said.line or value.startswith("-X")
    instead = (
        f"Drop $({name}) there and pass the options in JAVA_TOOL_OPTIONS, which the JVM splits itself"
        if java
        else f"Write each word of {name} as an argument of its own"
    )
    spec = (
        words.container.patch({"env": [{"name": "JAVA_TOOL_OPTIONS", "value": value}]})
        if java and clean(value) == value
        else None
    )
    return Advice(
        f"it gets all of {name} as one argument: Kubernetes puts $({name}) in as one word, spaces and all",
        (
            manifest(words, f"{instead}, in {where(words)}.", spec),
            manifest(words, f'Or let a shell split it: command ["sh", "-c", "exec PROGRAM ${name}"].'),
        ),
        (Evidence("spec", at, f"$({name}) = {value}"),),
        details={"setting": name},
    )


def _jvm_flag(words: LastWords, said: Said) -> Advice:
    joined = _one_word(words, said)
    if joined is not None:
        return joined
    option = _group(said)
    variables = [
        n for n, v in words.container.environment().items() if option and option.lstrip("-+") in v.replace("+", "")
    ]
    held = f"env {variables[0]}" if variables else "JAVA_TOOL_OPTIONS, JAVA_OPTS or the arguments"
    return Advice(
        f"the JVM of image {words.container.image} does not accept {option or 'one of its options'}",
        (
            manifest(
                words, f"Remove {option or 'it'} from {held} of {where(words)}; options come and go with Java versions."
            ),
            image("Or use the Java version that the option belongs to."),
        ),
        ruled_out=_NEVER_RAN,
    )


_HEAP_OPTION = lazy(r"-Xm[sx]\S+|-XX:(?:Initial|Min|Max)(?:HeapSize|RAMPercentage)=\S+")


def _jvm_heap_sizes(words: LastWords, said: Said) -> Advice:
    """Tell of an initial heap above the maximum, or of a heap that is none; a unit was forgotten mostly."""
    given = [
        f"{option} in {name}"
        for name, value in words.container.environment().items()
        for option in _HEAP_OPTION.findall(value)
    ]
    given += [
        o
        for w in (*texts(words.container.spec, "command"), *texts(words.container.spec, "args"))
        for o in _HEAP_OPTION.findall(w)
    ]
    shown = f" ({', '.join(given)})" if given else ""
    small = "small" in said.match[0]
    what = "its heap is too small to start" if small else "its initial heap is larger than its maximum heap"
    act = "Write the sizes of the heap with their unit (-Xmx512m)" if small else "Set -Xms to at most -Xmx"
    return Advice(
        f"the JVM refuses its options: {what}{shown}",
        (manifest(words, f"{act} in {where(words)}; the last value that the JVM reads of each counts."),),
        ruled_out=_NEVER_RAN,
    )


def _key_store(words: LastWords, said: Said) -> Advice:
    path = path_near(said.line, said.match.start())
    found = mount_of(words.container, path) if path else None
    on = f" on {volume_words(found[1])}" if found is not None else ""
    return Advice(
        f"the password of its key store or trust store{f' {path}' if path else ''}{on} does not open it: another "
        "password, or another file than the password was made for",
        (
            manifest(
                words,
                f"Give {where(words)} the password with which the store was made (javax.net.ssl.keyStorePassword, "
                "server.ssl.key-store-password, or the variable of the image); a line end in the Secret counts.",
                None,
                kubectl(
                    "set",
                    "env",
                    f"pod/{words.case.pod.name}",
                    "-c",
                    words.container.name,
                    "--list",
                    namespace=words.case.pod.namespace,
                ),
            ),
            app(
                "Prove it with the same file: keytool -list -keystore FILE asks for the password. A store that "
                "cert-manager "
                "makes takes it from passwordSecretRef."
            ),
        ),
    )


def _own_key(words: LastWords, said: Said) -> Advice | None:
    """Judge a key that the program compares with one it keeps in a file of its own."""
    path = path_near(said.line, len(said.line))
    variable = _VARIABLE.search(said.line)
    if variable is None or not path:
        return None
    found = mount_of(words.container, path)
    on = f" on {volume_words(found[1])}" if found is not None else ""
    return Advice(
        f"the key in {variable[1]} is another than the one that it keeps in {path}{on}",
        (
            manifest(
                words,
                f"Set {variable[1]} of {where(words)} to the key in {path}: what was encrypted before opens "
                f"with that one "
                "only.",
            ),
            app(f"Read the old key there, in a copy of the pod with a shell, and store it in a Secret: {path}."),
        ),
        details={"setting": variable[1]},
    )


_VARIABLE = lazy(r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]{2,80})\b")


def _cookie(words: LastWords, _: Said) -> Advice:
    top = words.case.workload_name
    return Advice(
        "its Erlang cookie is another than that of the node it talks to: the members of a cluster and its tools "
        "need the "
        "same one",
        (
            manifest(
                words,
                f"Give all pods of {top} one cookie from one Secret (RabbitMQ: RABBITMQ_ERLANG_COOKIE or "
                "auth.erlangCookie of the chart; releases: RELEASE_COOKIE); a chart that is installed anew "
                "makes a new one.",
                None,
                kubectl("get", "secrets", namespace=words.case.pod.namespace),
            ),
            app(
                "The file .erlang.cookie on the data volume wins over a changed Secret in some images: give it "
                "the same "
                "value, then restart all members."
            ),
        ),
    )


def _key_mismatch(words: LastWords, said: Said) -> Advice:
    own = _own_key(words, said)
    if own is not None:
        return own
    return Advice(
        "it cannot decrypt its own data or credentials: the key is missing, malformed, or not the "
        "one that encrypted them",
        (
            manifest(
                words,
                f"Give {where(words)} the key of the first installation (a chart may have made a new "
                "one at the upgrade): "
                "RAILS_MASTER_KEY, FERNET_KEY, APP_KEY, N8N_ENCRYPTION_KEY and the like, from its Secret.",
                None,
                kubectl("get", "secrets", namespace=words.case.pod.namespace),
            ),
            app(
                "Mind its form: a Fernet key is 32 bytes in URL-safe base64, Laravel's begins with "
                "base64:, no line end."
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "unknown-argument",
        lazy(
            r"(?:[Uu]nknown|[Uu]nrecognized|[Ii]nvalid|[Uu]nexpected|[Uu]nsupported) (?:command[- ]line )?(?:flags?"
            r"|options?|arguments?|shorthand"
            r" flag|parameter)s?:? ?(?:['\"`]?(-{1,2}[A-Za-z][\w.-]{0,80})|['\"`]([A-Za-z][\w.-]{0,80})['\"`])"
            r"|flag provided but not defined: (-{1,2}[\w.-]{1,80})"
            r"|unrecognized (?:arguments?|option):? ['\"`]?(-{1,2}[\w.-]{1,80})|no such option:? (-{1,2}[\w.-]{1,80})"
            r"|(?:Found|found) (?:argument|unexpected argument) ['\"](-{1,2}[\w.-]{1,80})"
            r"|unexpected argument ['\"](-{0,2}[\w.-]{1,80})"
            r"|unknown (?:sub)?command ['\"]?([\w.-]{1,80})|bad flag syntax: (\S{1,80})|illegal option -- (\w)"
        ),
        _flag,
        whole=False,
    ),
    Row(
        "jvm-heap-sizes",
        lazy(
            r"Initial heap size set to a larger value than the maximum heap size|Too small (?:initial|maximum) heap"
            r"|Incompatible (?:initial and maximum|minimum and (?:initial|maximum)) heap sizes specified"
        ),
        _jvm_heap_sizes,
        beside=True,
    ),
    Row(
        "jvm-option",
        lazy(
            r"Unrecognized (?:VM )?option:? ['\"]?([\w+:=.,/-]{1,120})|Unsupported VM option"
            r"|Invalid (?:maximum|initial) heap size: (\S{1,80})"
            r"|Conflicting collector combinations|Multiple garbage collectors selected"
        ),
        _jvm_flag,
        beside=True,
    ),
    Row("address-family", lazy(r"[Aa]ddress family not supported by protocol|EAFNOSUPPORT"), _family),
    Row(
        "address-not-local",
        lazy(
            r"(?:bind|listen)[^\n]{0,100}(?:[Cc]annot|[Cc]an't) assign requested address|EADDRNOTAVAIL"
            r"|\(99: [^\n]{0,10}assign"
            r"|(?:[Cc]annot|[Cc]an't) assign requested address[^\n]{0,60}bind"
        ),
        _not_local,
    ),
    Row(
        "discovery-settings",
        lazy(r"the default discovery settings are unsuitable for production use"),
        _discovery,
        beside=True,
    ),
    Row(
        "key-store-password",
        lazy(
            r"(?i)keystore (?:password was incorrect|was tampered with)|failed to decrypt safe contents entry"
            r"|(?:key|trust)[ -]?store[^\n]{0,80}(?:password (?:is |was )?(?:incorrect|wrong|invalid)|mac verify)"
        ),
        _key_store,
        beside=True,
    ),
    Row(
        "erlang-cookie",
        lazy(
            r"(?i)invalid challenge reply|Erlang cookie is identical|(?:wrong|bad|invalid"
            r"|different) (?:Erlang )?cookie\b"
            r"|rejected[^\n]{0,60}\bcookie\b|Connection attempt from[^\n]{0,80}disallowed node"
        ),
        _cookie,
        beside=True,
    ),
    Row(
        "key-mismatch",
        lazy(
            r"(?i)Fernet (?:object|key)|InvalidToken|MessageEncryptor"
            r"|mismatching encryption keys?|(?:could not|cannot|failed to|unable to) decrypt|bad decrypt"
        ),
        _key_mismatch,
    ),
)
