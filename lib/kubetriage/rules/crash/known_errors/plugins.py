"""Plugins and components that a configuration names and the program of this image was built without."""

from __future__ import annotations

from kubetriage.model import Evidence
from kubetriage.rules.crash.acts import image, manifest, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.pod_settings import lines_with
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, shell
from kubetriage.values.patterns import lazy


def _group(said: Said) -> str:
    return next((g for g in said.match.groups() if g), "")


# What brings the plugin, by a word of the image's repository: an act with {name}.
_BRINGS = (
    ("fluentd", "Build an image from {image} with gem install fluent-plugin-{name}, or use one of the variants of "
     "fluent/fluentd-kubernetes-daemonset, which bring the plugins for Kubernetes"),
    ("fluent-bit", "Use a release of Fluent Bit that has {name} built in, or load it as a plugin (plugins_file)"),
    ("fluentbit", "Use a release of Fluent Bit that has {name} built in, or load it as a plugin (plugins_file)"),
    ("opentelemetry-collector", "Use the distribution that has {name}: otel/opentelemetry-collector-contrib has nearly "
     "all, -k8s those for Kubernetes; or build one with ocb"),
    ("otelcol", "Use the distribution that has {name}: otel/opentelemetry-collector-contrib has nearly all; or build "
     "one with ocb"),
    ("logstash", "Build an image from {image} with logstash-plugin install for {name}"),
    ("kafka-connect", "Put the jars of {name} into the image under a folder of plugin.path, or install them with "
     "confluent-hub"),
    ("cp-kafka", "Put the jars of {name} into the image under a folder of plugin.path, or install them with "
     "confluent-hub"),
    ("postgres", "Use an image that has {name} (the package postgresql-VERSION-NAME on top of {image})"),
    ("caddy", "Build Caddy with the module (xcaddy build --with), and use that image"),
    ("coredns", "Use a build of CoreDNS that has {name} compiled in (plugin.cfg)"),
)  # fmt: skip


def _plugin(words: LastWords, said: Said) -> Advice:
    name = _group(said) or "that it names"
    own = words.container.image
    repository = own.rpartition("/")[2]
    brings = next(
        (act for part, act in _BRINGS if part in own.partition("@")[0]),
        "Use an image of this program that has {name}, or install it on top of {image}",
    ).replace("{name}", name).replace("{image}", own)  # fmt: skip
    held = lines_with(words.case, words.container, name) if _group(said) else []
    namespace = words.case.pod.namespace
    first = held[0] if held else None
    named = (
        f"key {first.key} of ConfigMap {first.config_map}"
        f" (line{'s' if len(first.lines) > 1 else ''} {', '.join(map(str, first.lines[:5]))})"
        if first is not None
        else f"the configuration of {where(words)}"
    )
    return Advice(
        f"image {own} does not have the plugin or component {name}, which its configuration names",
        (
            image(f"{brings}.", *((shell("docker", "pull", own),) if not repository else ())),
            manifest(
                words,
                f"Or take {name} out of {named}; a new release may have renamed or dropped it.",
                None,
                *((kubectl("edit", "configmap", first.config_map, namespace=namespace),) if first is not None else ()),
            ),
        ),
        (Evidence("config", f"configmaps[{first.config_map}].data[{first.key}]", named),) if first is not None else (),
        details={"plugin": name} if _group(said) else {},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "plugin-not-in-image",
        lazy(
            # Fluentd, its registry.
            r"Unknown (?:input|output|filter|parser|formatter|buffer|storage) plugin '([\w.-]{1,60})'"
            # Fluent Bit.
            r"|section '([\w.-]{1,60})' tried to instance a plugin name that do(?:n'?t|es(?:n'?t| not)) exist"
            # OpenTelemetry Collector, confmap and otelcol.
            r"|(?:receivers|exporters|processors|extensions|connectors)' unknown type: \\{0,2}\"([\w./-]{1,60})"
            r"|unknown (?:receivers|exporters|processors|extensions|connectors) type:? \\{0,2}\"([\w./-]{1,60})"
            # Logstash, Telegraf, Grafana Alloy.
            r"|Couldn't find any \w{3,10} plugin named '([\w.-]{1,60})'"
            r"|undefined but requested (?:input|output|processor|aggregator|parser|serializer)s?: ([\w.-]{1,60})"
            r"|cannot find the definition of component name \\{0,2}\"([\w.-]{1,80})\\{0,2}\""
            # Kafka Connect.
            r"|Failed to find any class that implements \w{3,20} and which name matches ([\w.$-]{1,160})"
            # PostgreSQL: shared_preload_libraries.
            r"|could not access file \"(?:\$libdir/)?([\w.-]{1,60})\": No such file"
        ),
        _plugin,
        beside=True,
    ),
)
