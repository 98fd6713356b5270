"""Servers that do not find themselves: ZooKeeper's id of a member, and the format of a MinIO drive."""

from __future__ import annotations

from kubetriage.model import Fix
from kubetriage.rules.crash.acts import app, image, manifest, where
from kubetriage.rules.crash.container_spec import claims, mount_of
from kubetriage.rules.crash.known_errors.data_versions import all_said, held_data
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.next_looks import rollback
from kubetriage.rules.crash.node_commands import in_copy
from kubetriage.rules.crash.program_output import LastWords, Said, path_near
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import objects, text
from kubetriage.values.patterns import lazy

_LAST_WITH_FILES = "RELEASE.2022-10-24T18-35-07Z"
"""The last MinIO release that reads the backends fs and gateway (min.io: migrate-fs-gateway)."""
_ID_VARIABLES = {"bitnami": "ZOO_SERVER_ID", "confluent": "ZOOKEEPER_SERVER_ID", "": "ZOO_MY_ID"}
"""Variable of the member's id, by a word in the image's name; the official image's is the last."""


def _data_mount(words: LastWords) -> str:
    """Return where the only claim of a container is mounted; empty when there are several or none."""
    held = set(claims(words.container))
    places = [
        text(m, "mountPath")
        for m in objects(words.container.spec, "volumeMounts")
        if (found := mount_of(words.container, text(m, "mountPath"))) is not None
        and text(found[1], "persistentVolumeClaim", "claimName") in held
    ]
    return places[0] if len(places) == 1 else ""


def _id_missing(words: LastWords, _: Said) -> Advice:
    mount = _data_mount(words)
    at = f" (data is mounted at {mount})" if mount else ""
    variable = next(v for word, v in _ID_VARIABLES.items() if word in words.container.image)
    there = f"{mount.rstrip('/')}/myid" if mount else "myid in dataDir"
    pod = words.case.pod.name
    ordinal = pod.rpartition("-")[2]
    own = f" ({int(ordinal) + 1} for {pod})" if ordinal.isdecimal() else ""
    return Advice(
        f"ZooKeeper finds no file myid in its dataDir{at}, so this member has no id",
        (
            manifest(
                words,
                f"Compare dataDir in zoo.cfg with the mount of {where(words)}: the script that writes myid and the "
                "server must mean the same directory.",
            ),
            manifest(
                words,
                f"Give the id before the server starts: the ordinal plus one{own}, as server.N lists it. Write it to "
                f"{there} in the start command, or set {variable} where the image writes the file.",
                None,
                kubectl(
                    "set", "env", f"pod/{pod}", "-c", words.container.name, "--list", namespace=words.case.pod.namespace
                ),
            ),
        ),
        details={"file": there},
    )


def _not_a_peer(words: LastWords, said: Said) -> Advice:
    number = said.match["id"]
    others = [p.name for p in words.case.replicas if p.name != words.case.pod.name and p.ready]
    running = others[0] if others else placeholder("running-pod")
    return Advice(
        f"the list of ZooKeeper servers that it reads has no server.{number}, which is its own id (myid)",
        (
            manifest(
                words,
                f"List server.{number} in the configuration of all members (server.N=HOST:2888:3888), and let myid be "
                "N: ordinal plus one in most images.",
            ),
            app(
                f"Where the list is dynamic (zoo.cfg.dynamic on {held_data(words)}), it was written before this "
                "member joined. Look at what the running members have, and add it there with reconfig -add.",
                kubectl("exec", running, "--", "zkCli.sh", "config", namespace=words.case.pod.namespace),
            ),
            app(
                "If the data is of an earlier ensemble and not wanted, let this member alone start with an empty "
                "volume: it takes the data over from the others."
            ),
        ),
        details={"member": number},
    )


def _drive_format(words: LastWords, said: Said) -> Advice:
    whole = all_said(words, said)
    path = path_near(said.line, len(said.line)) or _data_mount(words) or "the drive"
    known = "found backend type" in whole
    back = manifest(
        words,
        f"Run {_LAST_WITH_FILES} again, the last release that reads it; the data stays as it is.",
        None,
    )
    move = app(
        "Then start a second MinIO of the new release with an empty volume, copy all buckets over, and switch. Keep "
        "the old volume until the copy is checked.",
        f"mc mirror --preserve {placeholder('old')} {placeholder('new')}",
    )
    look = app(
        f'Look which of the two it is: .minio.sys/format.json in {path} says "format":"fs" for the old mode. No '
        "such file: the volume is not the one with the data, or is mounted elsewhere.",
        in_copy(words.case.pod, words.container.name, "cat", f"{path.rstrip('/')}/.minio.sys/format.json"),
    )
    why = (
        f"{path} ({held_data(words)}) holds data of MinIO's old file system mode (fs or gateway), which newer releases "
        "do not read"
        if known
        else f"MinIO does not take {path} ({held_data(words)}) for a drive of its own: data of the old file system "
        "mode, which newer releases do not read, or a directory that is no drive"
    )
    fixes: tuple[Fix, ...] = (back, move) if known else (look, back, move)
    return Advice(why, fixes, details={"path": path})


def _module_not_loaded(words: LastWords, said: Said) -> Advice:
    directive = said.match["directive"] or ""
    module = said.match["module"] or ""
    shared = next((m for word, m in _APACHE_MODULES.items() if directive.lower().startswith(word)), "")
    name = module or shared
    what = f"directive {directive}" if directive else f"module {module}"
    need = f"mod_{name}" if name else "the module that brings it"
    return Advice(
        f"Apache does not know {what}: {need} is not loaded in image {words.container.image}",
        (
            image(
                f"Load it in the image: a2enmod {name or 'MODULE'} (Debian), or the line LoadModule "
                f"{name or 'MODULE'}_module modules/mod_{name or 'MODULE'}.so in httpd.conf (httpd, most lines stand "
                "there commented out).",
            ),
            manifest(
                words,
                f"Or remove {directive or 'what needs it'} from the configuration that {where(words)} mounts; wrap it "
                f"in <IfModule {need}> where it is optional.",
            ),
        ),
        details={"module": name} if name else {},
    )


def _not_last_to_leave(words: LastWords, _: Said) -> Advice:
    case = words.case
    place = _data_mount(words) or "the data directory"
    return Advice(
        "all members of the Galera cluster stopped, and this one was not the last: it may lack the newest writes, so "
        "it "
        "does not begin a new cluster",
        (
            app(
                f"Read grastate.dat of every member (in {place}, {held_data(words)} and those of the others): start "
                "first the one with safe_to_bootstrap: 1, else the one with the highest seqno; -1 needs mysqld "
                "--wsrep-recover to know it.",
                *(
                    in_copy(
                        p,
                        words.container.name,
                        "find",
                        _data_mount(words) or "/var/lib/mysql",
                        "-name",
                        "grastate.dat",
                        "-exec",
                        "cat",
                        "{}",
                        "+",
                    )
                    for p in (case.replicas or (case.pod,))[:3]
                ),
            ),
            manifest(
                words,
                "Let that member alone begin the cluster once: in the Bitnami chart galera.bootstrap.forceBootstrap, "
                "bootstrapFromNode with its ordinal, forceSafeToBootstrap and podManagementPolicy Parallel; an "
                "operator "
                "has a recovery of its own. Take the values out when all members run.",
            ),
            app(
                "Do not set safe_to_bootstrap to 1 on a member with a lower seqno: the others take over its older data "
                "and lose their own."
            ),
        ),
    )


# Directives by their beginning, with the module that brings them (httpd.apache.org/docs/2.4/mod/quickreference).
_APACHE_MODULES = {
    "rewrite": "rewrite",
    "proxyhtml": "proxy_html",
    "proxy": "proxy",
    "sslproxy": "ssl",
    "ssl": "ssl",
    "requestheader": "headers",
    "header": "headers",
    "expires": "expires",
    "remoteip": "remoteip",
    "authopenidc": "auth_openidc",
    "oidc": "auth_openidc",
    "deflate": "deflate",
    "wsgi": "wsgi",
    "php_": "php",
    "balancer": "proxy_balancer",
    "protocols": "http2",
    "h2": "http2",
    "substitute": "substitute",
    "authldap": "authnz_ldap",
    "dav": "dav",
    "cache": "cache",
}


def _without_zookeeper(words: LastWords, _: Said) -> Advice:
    """Judge a broker of Kafka 4 that is set up for ZooKeeper; clusters move to KRaft under 3.9 only."""
    container = words.container
    names = [text(e, "name") for e in objects(container.spec, "env")]
    prefix = "KAFKA_CFG_" if any(n.startswith("KAFKA_CFG_") for n in names) else "KAFKA_"
    held = next((n for n in names if "ZOOKEEPER_CONNECT" in n), "zookeeper.connect")
    confluent = "cp-" in container.image.rpartition("/")[2]
    old = "7.9 (Kafka 3.9)" if confluent else "3.9"
    return Advice(
        f"Kafka of image {container.image} runs without ZooKeeper only (KRaft), and it is not set up for that: "
        "process.roles is missing",
        (
            manifest(
                words,
                f"A cluster that has data in ZooKeeper: go back to an image of {old}, which still knows it, move the "
                "cluster to KRaft there (controllers beside the brokers, then the migration), and upgrade after it.",
                None,
                *rollback(words),
            ),
            manifest(
                words,
                f"A new cluster: set {prefix}PROCESS_ROLES=broker,controller, {prefix}NODE_ID, "
                f"{prefix}CONTROLLER_QUORUM_VOTERS and {prefix}CONTROLLER_LISTENER_NAMES in {where(words)}, "
                f"and take {held} out.",
            ),
        ),
        details={"setting": "process.roles"},
    )


def _address_known(words: LastWords, said: Said) -> Advice:
    """Judge a Cassandra node that comes back without its data under an address that the ring knows."""
    address = said.match["address"].partition(":")[0]
    held = claims(words.container)
    where_ = f"PersistentVolumeClaim {held[0]}" if held else "its volume"
    variable = next(
        (n for e in objects(words.container.spec, "env") if (n := text(e, "name")) in ("JVM_EXTRA_OPTS", "JVM_OPTS")),
        "JVM_EXTRA_OPTS",
    )
    return Advice(
        f"the ring still has a node with address {address}, and {where_} does not say that this is the one: its "
        "data was lost or is another's",
        (
            app(
                "See in a node that runs whether the old one is down (DN) and which addresses the ring has.",
                kubectl(
                    *("exec", placeholder("pod"), "-c", words.container.name, "--", "nodetool", "status"),
                    namespace=words.case.pod.namespace,
                ),
            ),
            manifest(
                words,
                f"If it is down for good and its data is gone: let this one take its place, once, with {variable}="
                f"-Dcassandra.replace_address_first_boot={address} in {where(words)}; take it out again after the "
                "start.",
            ),
            manifest(
                words,
                f"If the data must be there: see that {words.case.pod.name} mounts the claim that it had before.",
            ),
        ),
        details={"address": address},
        sure=False,
    )


_RAY_LOGS = "/tmp/ray"  # noqa: S108


def _ray_process(words: LastWords, said: Said) -> Advice:
    name = said.match["process"]
    return Advice(
        f"Ray's process {name} ended, and why stands in files of its own, not in this log",
        (
            manifest(
                words,
                f"Keep the files over the restart: mount an emptyDir at {_RAY_LOGS} in {where(words)}, then read "
                f"{_RAY_LOGS}/session_latest/logs/{name}.err and {name}.out in a sidecar or after the next start.",
                words.container.patch(
                    {"volumeMounts": [{"name": "ray-logs", "mountPath": _RAY_LOGS}]},
                    volumes=[{"name": "ray-logs", "emptyDir": {}}],
                ),
            ),
            app(
                "Usual reasons: gcs_server cannot reach the Redis that it is given or finds another cluster's data in "
                "it; raylet finds its port or its memory taken. The arguments of ray start name both."
            ),
        ),
        details={"process": name},
        sure=False,
    )


def _newer_host(words: LastWords, said: Said) -> Advice:
    plugin, host, needs, has = (said.match[k] for k in ("plugin", "host", "needs", "has"))
    return Advice(
        f"{plugin} needs {host} {needs}, and image {words.container.image} has {has}",
        (
            manifest(words, f"Take an image of {host} {needs} or newer in {words.case.workload_name}."),
            manifest(
                words,
                f"Or pin {plugin.partition(':')[0]} (and what brings it) to the release for {host} {has} in the list "
                "of plugins: an entry without a version takes the newest.",
            ),
        ),
        details={"needs": needs, "has": has},
    )


def _broken_parts(words: LastWords, _: Said) -> Advice:
    return Advice(
        f"ClickHouse finds more broken parts of a table on {held_data(words)} than it takes for normal, as after a "
        "kill, a full disk or lost writes",
        (
            app(
                "Replicated table: the other replicas have the data. Let it start once without the check: an empty "
                "file flags/force_restore_data in its data directory (in a copy of the pod); it fetches them anew.",
            ),
            app(
                "Table without replicas: keep a copy of the volume first, then raise max_suspicious_broken_parts in "
                "the table's or the merge_tree settings for one start; the broken parts are moved to detached, "
                "their rows are missing.",
            ),
        ),
        sure=False,
    )


def _seeds(words: LastWords, _: Said) -> Advice:
    given = next((text(e, "value") for e in objects(words.container.spec, "env") if "SEEDS" in text(e, "name")), "")
    namespace = words.case.pod.namespace
    return Advice(
        f"no seed of its ring answers{f' ({given})' if given else ''}",
        (
            manifest(
                words,
                "The headless Service of the seeds must publish addresses of members that are not ready "
                "(publishNotReadyAddresses: true), and the first seed must name itself: compare them.",
                None,
                kubectl("get", "endpointslices", namespace=namespace),
            ),
            app(
                "See that the seeds run and listen on port 7000 (7001 with TLS) under the same cluster_name, and that "
                "no NetworkPolicy keeps members apart.",
                kubectl("get", "pods", "-o", "wide", namespace=namespace),
            ),
        ),
        details={"seeds": given} if given else {},
        sure=False,
    )


ROWS: tuple[Row, ...] = (
    Row(
        "plugin-needs-newer",
        lazy(
            r"\b(?P<plugin>[\w-]{2,80}:[\w.-]{1,60})[^\n]{0,120}? requires a (?:greater|newer|higher|later) version of "
            r"(?P<host>\w{2,40}) \((?P<needs>\d[\d.]{0,20})\) than (?P<has>\d[\d.]{0,20}\d)"
        ),
        _newer_host,
        beside=True,
    ),
    Row("broken-parts", lazy(r"Suspiciously (?:many|big) \([^)\n]{1,40}\) broken parts"), _broken_parts, beside=True),
    Row(
        "address-in-ring",
        lazy(r"A node with address /?(?P<address>[\w.:\[\]-]{3,80}?) already exists, cancelling join"),
        _address_known,
        beside=True,
    ),
    Row("seeds-silent", lazy(r"Unable to (?:gossip with any|contact any) (?:peers|seeds)"), _seeds, beside=True),
    Row(
        "ray-process",
        lazy(r"\b(?P<process>gcs_server|raylet|dashboard_agent) \[exit code=-?\d{1,3}\]"),
        _ray_process,
        beside=True,
    ),
    Row(
        "kafka-zookeeper",
        lazy(
            r"Missing required configuration [`\"']?process\.roles|[Zz]oo[Kk]eeper mode is no longer supported"
            r"|[`\"']?zookeeper\.connect[`\"']? is (?:no longer supported|ignored|not supported)"
        ),
        _without_zookeeper,
        "AppConfigMissing",
        beside=True,
    ),
    Row(
        "galera-bootstrap",
        lazy(r"not be safe to bootstrap the cluster from this node"),
        _not_last_to_leave,
        beside=True,
    ),
    Row(
        "member-id-missing",
        lazy(r"\bmyid file is missing|myid: No such file or directory"),
        _id_missing,
        beside=True,
    ),
    Row("member-not-listed", lazy(r"My id (?P<id>\d{1,4}) not in the peer list"), _not_a_peer, beside=True),
    Row(
        "drive-format",
        lazy(
            r"found backend type \w{1,20}, expected xl|Unable to use the drive \S{1,200}: [Dd]rive not found"
            r"|Unable to use the drive \S{1,200}: [^\n]{0,200}Invalid arguments specified"
        ),
        _drive_format,
        beside=True,
    ),
    Row(
        "apache-module",
        lazy(
            r"Invalid command '(?P<directive>\w{1,60})', perhaps misspelled or defined by a module not included"
            r"|Cannot load (?:\S{0,160}/)?mod_(?P<module>\w{1,40})\.so into server"
        ),
        _module_not_loaded,
        beside=True,
    ),
)
