"""What a program demands before it starts: a setting in one form, a server of one version, a right, a sandbox."""

from __future__ import annotations

from kubetriage.rules.crash.acts import app, image, manifest, node, on_node, operator, place, where
from kubetriage.rules.crash.container_spec import env_sources
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, placeholder, shell
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy


def _short_secret(words: LastWords, _: Said) -> Advice:
    secrets = [s for s in env_sources(words.container) if s.startswith("Secret ")]
    held = f"{' and '.join(secrets)} of {where(words)}" if secrets else f"the environment of {where(words)}"
    look = tuple(
        kubectl("describe", "secret", s.removeprefix("Secret "), namespace=words.case.pod.namespace)
        for s in secrets[:2]
    )
    return Advice(
        "MinIO refuses its own root user: MINIO_ROOT_USER needs 3 characters or more, MINIO_ROOT_PASSWORD 8",
        (
            manifest(
                words,
                f"Set both in {held} with at least that length (before 2021: MINIO_ACCESS_KEY and MINIO_SECRET_KEY); "
                "the sizes that describe prints count a line end.",
                None,
                *look,
            ),
        ),
        details={"setting": "MINIO_ROOT_PASSWORD"},
    )


def _advertised(words: LastWords, _: Said) -> Advice:
    held = next(
        (e for e in objects(words.container.spec, "env") if "ADVERTISED_LISTENERS" in text(e, "name")),
        None,
    )
    name = text(held, "name") if held is not None else "advertised.listeners (KAFKA_ADVERTISED_LISTENERS)"
    return Advice(
        "Kafka is to advertise 0.0.0.0, an address that no client can use",
        (
            manifest(
                words,
                f"Give {name} of {where(words)} a name that clients resolve: "
                "PLAINTEXT://POD.SERVICE."
                f"{words.case.pod.namespace}.svc:9092 "
                "(the headless Service's name of each pod). Only listeners may bind 0.0.0.0.",
            ),
        ),
        details={"setting": "advertised.listeners"},
    )


def _hostname(words: LastWords, _: Said) -> Advice:
    return Advice(
        "Keycloak in production mode is not told its hostname",
        (
            manifest(
                words,
                f"Set KC_HOSTNAME of {where(words)} to the name that browsers use (behind a proxy also "
                "KC_PROXY_HEADERS=xforwarded; before 24: KC_PROXY=edge).",
                words.container.patch({"env": [{"name": "KC_HOSTNAME", "value": placeholder("hostname")}]}),
            ),
            manifest(words, "Or take the name from each request: KC_HOSTNAME_STRICT=false, where a proxy checks it."),
        ),
        details={"setting": "KC_HOSTNAME"},
    )


def _no_https(words: LastWords, _: Said) -> Advice:
    return Advice(
        "Keycloak in production mode serves HTTPS only, and has no certificate",
        (
            manifest(
                words,
                f"Let {where(words)} serve HTTP, where an ingress or a mesh ends TLS: KC_HTTP_ENABLED=true, with "
                "KC_PROXY_HEADERS=xforwarded (before 24: KC_PROXY=edge).",
                words.container.patch(
                    {
                        "env": [
                            {"name": "KC_HTTP_ENABLED", "value": "true"},
                            {"name": "KC_PROXY_HEADERS", "value": "xforwarded"},
                        ]
                    }
                ),
            ),
            manifest(
                words,
                "Or mount a TLS Secret, and name its files in KC_HTTPS_CERTIFICATE_FILE and "
                "KC_HTTPS_CERTIFICATE_KEY_FILE.",
            ),
        ),
        details={"setting": "KC_HTTP_ENABLED"},
    )


def _server_version(words: LastWords, said: Said) -> Advice:
    server, has, client, needs = (said.match[k] for k in ("server", "has", "client", "needs"))
    return Advice(
        f"its {server} server is version {has}, and {client} of image {words.container.image} needs {needs} or newer",
        (
            operator(f"Upgrade the {server} server to {needs} or newer (a backup first); or name another server."),
            image(f"Or build with an older {client}, which works with {server} {has}: pin it in the lock file."),
        ),
        details={"server": server, "has": has, "needs": needs},
    )


_MODEL = lazy(r"huggingface\.co/(?P<model>[\w.-]{1,80}/[\w.-]{1,120})|model (?P<name>[\w.-]{1,80}/[\w.-]{1,120}) is")


def _gated(words: LastWords, said: Said) -> Advice:
    match = _MODEL.search(f"{said.line}\n{words.text}")
    model = (match["model"] or match["name"]).rstrip(".") if match is not None else ""
    variables = {text(e, "name") for e in objects(words.container.spec, "env")}
    tokens = variables & {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"}
    which = model or "the model"
    given = (
        f"See that the token in {sorted(tokens)[0]} of {where(words)} is of that account, valid, and may read gated "
        "repositories."
        if tokens
        else f"Give {where(words)} a token of that account in HF_TOKEN (older: HUGGING_FACE_HUB_TOKEN), from a Secret."
    )
    own = f"{words.case.workload.name}-hf"
    return Advice(
        f"{which} is gated at Hugging Face, and it asks for it "
        + ("with a token that may not read it" if tokens else "without a token"),
        (
            app(
                f"Accept the licence with a Hugging Face account: https://huggingface.co/{model}."
                if model
                else "Accept the model's licence with a Hugging Face account, on its page."
            ),
            manifest(
                words,
                given,
                None
                if tokens
                else words.container.patch(
                    {"env": [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": own, "key": "hf"}}}]}
                ),
                *(
                    ()
                    if tokens
                    else (
                        kubectl(
                            *("create", "secret", "generic", own, f"--from-file=hf={placeholder('file')}"),
                            namespace=words.case.pod.namespace,
                        ),
                    )
                ),
            ),
        ),
        details={"model": model} if model else {},
    )


def _sandbox(words: LastWords, _: Said) -> Advice:
    return Advice(
        "Chrome cannot make its sandbox: the container may make no user namespaces",
        (
            app(
                "If it opens only pages that you trust: start it with --no-sandbox (Puppeteer: args: ['--no-sandbox'], "
                "Playwright: chromiumSandbox: false)."
            ),
            manifest(
                words,
                f"Or keep the sandbox: run {where(words)} as another user than root. Its seccomp profile (Localhost, "
                "Chrome's own) must allow clone and unshare with CLONE_NEWUSER, and the node user namespaces.",
            ),
        ),
    )


def _clock(words: LastWords, _: Said) -> Advice:
    at = place(words)
    return Advice(
        f"the time that it signed does not fit: the clock of {at} is wrong by minutes, or that of the service that "
        "checks "
        "it",
        (
            node(
                f"Compare the clock of {at} with another's, and mend its time service (chronyd, systemd-timesyncd).",
                on_node(words, "sh", "-c", "date -u; chronyc tracking || timedatectl"),
            ),
            app("If the clock is right: the key of the account may be deleted or disabled; make a new one."),
        ),
        sure=False,
    )


def _php(words: LastWords, said: Said) -> Advice:
    needs, has = said.match["needs"], said.match["has"]
    if not needs:
        names = said.match["extensions"].strip(" .")
        return Advice(
            f"image {words.container.image} lacks PHP extensions that its Composer packages require: {names}",
            (
                image(
                    f"Add them in the image's build (docker-php-ext-install, or the packages of its base): {names}. "
                    "Build and run on the same base."
                ),
            ),
            details={"extensions": names},
        )
    return Advice(
        f"image {words.container.image} has PHP {has}, and its Composer packages require {needs}",
        (
            image(f"Build on a base with PHP {needs} (FROM php:{needs.lstrip('<>=~^ ')[:3]}-...)."),
            image(
                f"Or resolve the packages for PHP {has}: composer update with config.platform.php {has}, and run "
                "composer "
                "install inside the image's build."
            ),
        ),
        details={"needs": needs, "has": has},
    )


def _connection_string(words: LastWords, _: Said) -> Advice:
    return Advice(
        "the connection string that it asks its configuration for is not set",
        (
            manifest(
                words,
                f"Set it in {where(words)} from a Secret: variable ConnectionStrings__NAME, where NAME is what the "
                "program passes to GetConnectionString (see appsettings.json); on Linux the letters' case counts.",
                None,
                kubectl(
                    *("set", "env", f"pod/{words.case.pod.name}", "-c", words.container.name, "--list"),
                    namespace=words.case.pod.namespace,
                ),
            ),
            manifest(
                words,
                "Or mount an appsettings.json that has it; ASPNETCORE_ENVIRONMENT chooses which appsettings.ENVIRONMENT"
                ".json is read.",
            ),
        ),
        details={"setting": "ConnectionStrings"},
    )


def _etcd_space(_: LastWords, __: Said) -> Advice:
    return Advice(
        "etcd has reached its quota and takes no more writes until it was compacted and defragmented",
        (
            operator(
                "On each member of that etcd: compact to the newest revision, defrag, then disarm the alarm (etcdctl "
                "alarm disarm); members one after another.",
                shell("etcdctl", "endpoint", "status", "--cluster", "-w", "table"),
                shell("etcdctl", "defrag"),
                shell("etcdctl", "alarm", "disarm"),
            ),
            operator(
                "Find what filled it (many Events, large or many objects of one kind), turn on auto-compaction, and "
                "raise --quota-backend-bytes (up to 8 GiB) if that much is in use."
            ),
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "root-credentials-short",
        lazy(r"Unable to validate credentials inherited from the shell|secret key length (?:should be )?at least 8"),
        _short_secret,
        beside=True,
    ),
    Row("no-https-key", lazy(r"Key material not provided to setup HTTPS"), _no_https, "AppConfigMissing", beside=True),
    Row("advertised-listener", lazy(r"advertised\.listeners cannot use the nonroutable meta-address"), _advertised),
    Row(
        "hostname-missing",
        lazy(r"Strict hostname resolution configured but no hostname"),
        _hostname,
        "AppConfigMissing",
        beside=True,
    ),
    Row(
        "server-version",
        lazy(
            r"[Yy]ou are (?:connecting to|using) (?P<server>Redis) v?(?P<has>\d[\d.]{0,12}), (?P<client>\w{2,40}) "
            r"requires Redis v?(?P<needs>\d[\d.]{0,12}\d)"
        ),
        _server_version,
        beside=True,
    ),
    Row(
        "gated-model",
        lazy(r"(?i)(?:access|trying to access) (?:to model \S{1,200} is restricted|a gated repo|gated repo)"),
        _gated,
        "DependencyAuthFailed",
        beside=True,
    ),
    Row(
        "browser-sandbox",
        lazy(r"No usable sandbox!|Running as root without --no-sandbox is not supported"),
        _sandbox,
        beside=True,
    ),
    Row(
        "clock-wrong",
        lazy(
            r"Invalid JWT: Token must be a short-lived token|Token used (?:too early|before issued)"
            r"|RequestTimeTooSkewed"
            r"|Signature not yet current|JWT issued (?:in the future|at future)|token is not valid yet"
        ),
        _clock,
        beside=True,
    ),
    Row(
        "php-platform",
        lazy(
            r"Composer dependencies require (?:a PHP version \"(?P<needs>[^\"\n]{1,40})\"\. You are running "
            r"(?P<has>\d[\w.+-]{0,30}\w)|the following PHP extensions to be installed: (?P<extensions>[\w, -]{1,200}))"
        ),
        _php,
        beside=True,
    ),
    Row(
        "connection-string",
        lazy(
            r"Value cannot be null\. \(Parameter 'connectionString'\)"
            r"|The ConnectionString property has not been initialized"
        ),
        _connection_string,
        "AppConfigMissing",
        beside=True,
    ),
    Row("etcd-quota", lazy(r"mvcc: database space exceeded|etcdserver: no space\b"), _etcd_space, beside=True),
)
