"""Why an image is not there: reads the kubelet's and the runtime's words about a pull, of any runtime.

Two sources say it: ``waiting.message`` (newer kubelets write the cause into it) and the ``Failed`` event. Older
kubelets write only ``Back-off pulling image "I"`` into the status, so both are read.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator

from kubetriage.model import Actor, Confidence, Evidence, Finding, Fix, RuledOut, Severity
from kubetriage.readers.events import event_selector
from kubetriage.readers.pods import Container, Pod
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.snapshot import Snapshot
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import Obj, name_of, namespace_of, objects, text, texts
from kubetriage.values.patterns import lazy


class Pull(enum.Enum):
    """What kept an image from being there."""

    PLATFORM = "platform"
    RATE = "rate"
    SPACE = "space"
    UNPACK = "unpack"
    """The layers came, and the node could not unpack them."""
    SIGNATURE = "signature"
    TLS = "tls"
    NETWORK = "network"
    SERVER = "server"
    FORMAT = "format"
    """The image is in a format that the runtime no longer reads."""
    EITHER = "either"
    """The registry does not tell "no such repository" from "not for you"."""
    DENIED = "denied"
    ABSENT = "absent"
    NAME = "name"
    NEVER = "never"
    OTHER = "other"
    """Words that fit none of these."""
    UNSEEN = "unseen"
    """The reason was not seen: an old kubelet keeps it in events only, and they are gone or could not be read."""


WAITING = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""Waiting reasons of the kubelet's image manager (pkg/kubelet/images/types.go); ImageInspectError is the runtime's."""

_BY_REASON = {
    "ErrImageNeverPull": Pull.NEVER,
    "InvalidImageName": Pull.NAME,
    "SignatureValidationFailed": Pull.SIGNATURE,
}

# Order decides: the runtimes wrap one error into another ("no match for platform in manifest: not found",
# "failed to authorize: ... dial tcp: lookup ...: no such host"), so the special words come before the general.
_WORDS: tuple[tuple[Pull, re.Pattern[str]], ...] = (
    # containerd images/image.go; docker distribution/pull_v2.go; containers/image manifest list choice (CRI-O).
    (
        Pull.PLATFORM,
        lazy(
            r"no match for platform in manifest|no matching manifest for \S+|"
            r"no image found in (?:manifest list|image index) for architecture"
        ),
    ),
    # RFC 6585; docker.io "toomanyrequests"; ECR "Rate exceeded"; gRPC registries; kubelet registryPullQPS.
    (
        Pull.RATE,
        lazy(r"\b429\b|too\s?many\s?requests|pull rate limit|rate exceeded|pull QPS exceeded|RESOURCE_EXHAUSTED", re.I),
    ),
    (Pull.SPACE, lazy(r"no space left on device|disk quota exceeded", re.I)),
    # containerd's unpacker and its archive package, docker's "failed to register layer", containers/storage.
    (
        Pull.UNPACK,
        lazy(
            r"failed to (?:extract|register|apply|unpack) (?:the )?layer|mount callback failed|ApplyLayer|"
            r"unpigz|error (?:unpacking|applying|committing) |cannot be mapped to a host ID|"
            r"failed to (?:prepare extraction snapshot|Lchown)|processing tar file|invalid tar header|"
            r"unknown file mode|there might not be enough IDs available",
            re.I,
        ),
    ),
    # CRI errors of 1.31 (images/image_manager.go evalCRIPullErr); containers/image policy ("Source image rejected").
    (
        Pull.SIGNATURE,
        lazy(r"signature (?:validation|verification)|signature was required|Source image rejected", re.I),
    ),
    # Go crypto/x509, crypto/tls and net/http.
    (
        Pull.TLS,
        lazy(r"x509: |tls: |server gave HTTP response to HTTPS client|certificate (?:has|signed)"),
    ),
    # Go net and net/http; the kubelet's RegistryUnavailable.
    (
        Pull.NETWORK,
        lazy(
            r"dial (?:tcp|udp)|no such host|server misbehaving|i/o timeout|connection (?:refused|reset)|"
            r"no route to host|network is unreachable|proxyconnect|context deadline exceeded|Client\.Timeout|"
            r"request canceled while waiting for connection|TLS handshake timeout|unexpected EOF|"
            r"Proxy Authentication Required|"
            r"\bEOF\s*$|registry is unavailable",
            re.I,
        ),
    ),
    # An HTTP status line of the registry ("503 Service Unavailable", "registry 502 (Bad Gateway)"), or a page for a
    # manifest: a proxy or a login form stands before the registry (containerd remotes, "unexpected media type").
    (
        Pull.SERVER,
        lazy(r"\b5\d\d [A-Z(]|(?:status(?: code)?|registry):? 5\d\d\b|(?:unexpected|unsupported) media type text/html"),
    ),
    # containerd 2 and docker 29 (schema 1), containers/image.
    (
        Pull.FORMAT,
        lazy(
            r"schema ?(?:version )?1\b.*(?:no longer supported|not supported|deprecated)|manifest\.v1\+prettyjws"
            # containerd 2.1; the media type itself is quoted
            r"|media type\s{1,4}is no longer supported|schema ?1 (?:support )?(?:is|was|has been) (?:removed|disabled)",
            re.I,
        ),
    ),
    # docker.io (containerd, docker), gitlab and harbor behind docker, Artifact Registry, ghcr.io (it refuses even
    # the anonymous token), quay.io.
    (
        Pull.EITHER,
        lazy(
            r"does not exist or may require|does not exist or no pull access|\(or it may not exist\)|"
            r"insufficient_scope|requested access to the resource is denied|"
            r"access to the requested resource is not authorized|denied: denied|error from registry: denied|"
            r"fetch anonymous token: .*\b40[13]\b",
            re.I,
        ),
    ),
    # OCI distribution error codes UNAUTHORIZED and DENIED; docker's "no basic auth credentials"; ECR's expiry.
    (
        Pull.DENIED,
        lazy(
            r"\b40[13]\b|unauthorized|authentication required|no basic auth credentials|authorization token|"
            r"incorrect username or password|access denied|forbidden|\bdenied\b|invalid (?:username|credential)",
            re.I,
        ),
    ),
    # containerd errdefs.ErrNotFound; OCI MANIFEST_UNKNOWN, NAME_UNKNOWN; ECR "repository ... does not exist".
    (Pull.ABSENT, lazy(r"not found|manifest unknown|name[ _]unknown|does not exist|\b404\b", re.I)),
)

_BACK_OFF = lazy(r'Back-off pulling image "(?P<image>[^"]*)"(?::\s*(?P<error>.*))?', re.S)
_FAILED = lazy(r'Failed to pull image "(?P<image>[^"]*)":\s*(?P<error>.*)', re.S)
_QUOTED_OR_URL = lazy(r'"[^"]*"|https?://\S+')
_WRAPPINGS = lazy(
    r"(?:Err\w+: )?(?:rpc error: code = \w+ desc = )?(?:Error response from daemon: )?"
    r"(?:(?:initializing source|failed to (?:pull and unpack|resolve|copy|fetch(?! anonymous)|do)) "
    r'[^:"]*(?:"[^"]*")?:? )*',
)


@dataclass(frozen=True)
class Image:
    """A parsed image reference, with docker's defaults filled in."""

    registry: str
    repository: str
    version: str
    """Tag or digest."""

    @property
    def path(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"


def parse_image(reference: str) -> Image:
    """Split an image reference as docker and the kubelet do; never fails, so an invalid one gives odd parts."""
    rest, _, digest = reference.partition("@")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, path = head, tail
    else:
        registry, path = "docker.io", rest
    name, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        name, tag = path, ""
    if registry == "docker.io" and "/" not in name:
        name = f"library/{name}"
    return Image(registry, name, digest or tag or "latest")


@dataclass(frozen=True)
class PullFailure:
    """One container whose image is not there."""

    case: Case
    container: Container
    kind: Pull
    image: str
    """The image that the kubelet speaks of (a volume's image can block a container, too)."""
    error: str
    """The runtime's words without the wrappings; empty when not seen."""
    evidence: tuple[Evidence, ...]

    @property
    def parsed(self) -> Image:
        """The image, split."""
        return parse_image(self.image)

    @property
    def is_official(self) -> bool:
        """Tell whether the image can only be public: Docker Hub's ``library`` holds no private repositories."""
        return self.parsed.registry == "docker.io" and self.parsed.repository.startswith("library/")

    def finding(
        self,
        cause: str,
        message: str,
        fix: Iterable[Fix],
        *,
        confidence: Confidence = Confidence.CONFIRMED,
        evidence: Iterable[Evidence] = (),
        ruled_out: Iterable[RuledOut] = (),
        verify: Iterable[str] = (),
    ) -> Finding:
        """Make the finding; an ephemeral container's image never breaks the pod."""
        pod = self.container.pod
        if self.container.kind == "ephemeral":
            # Such a container can neither be changed nor removed.
            again = kubectl("debug", "-it", pod.name, f"--image={placeholder('image')}", namespace=pod.namespace)
            fix = (
                Fix(
                    f"Start another debug container with an image that exists: {self.container.name} cannot be "
                    "changed, and does the pod no harm.",
                    actor=Actor.APP,
                    commands=(again,),
                ),
            )
        look = kubectl("get", "events", "--field-selector", event_selector(pod.uid, pod.name), namespace=pod.namespace)
        return Finding(
            cause=cause,
            severity=Severity.WARNING if self.container.kind == "ephemeral" else Severity.ERROR,
            confidence=confidence,
            object=self.container.ref,
            message=message,
            evidence=(*self.evidence, *evidence),
            ruled_out=tuple(ruled_out),
            fix=tuple(fix),
            verify=(look, *verify),
            details={"image": self.image},
        )

    @property
    def others(self) -> tuple[tuple[str, str], ...]:
        """Names of other pods of the namespace that run an image of the same repository, each with that image."""
        pod = self.container.pod
        pulled = self.case.snapshot.derived(_pulled).get((pod.namespace, self.parsed.path), ())
        return tuple((name, image) for name, image in pulled if name != pod.name)

    @property
    def known_versions(self) -> tuple[str, ...]:
        """Images of the same repository that exist for certain: other pods run them, or the node holds them."""
        names = [image for _, image in self.others]
        for held in objects(self.case.node.obj, "status", "images"):
            names.extend(n for n in texts(held, "names") if "@" not in n)
        same = [n for n in names if parse_image(n).path == self.parsed.path]
        return tuple(dict.fromkeys(n for n in same if parse_image(n) != self.parsed))

    @property
    def volume(self) -> str:
        """The pod's volume that the image belongs to, where it is not the container's own; empty otherwise."""
        if parse_image(self.image) == parse_image(self.container.image):
            return ""
        for volume, reference in _image_volumes(self.container.pod):
            if parse_image(reference) == self.parsed:
                return volume
        return ""

    def image_fix(
        self, words: str, image: str = "", *, values: Obj | None = None, commands: tuple[str, ...] = ()
    ) -> Fix:
        """Make a fix of the image in the workload's template; ``image`` is the good value where one is known.

        ``values`` are the chart's values that say the same.
        """
        if not image or self.container.kind == "ephemeral" or self.image != self.container.image:
            return self.case.template_fix(words, commands=commands)
        patch = self.container.patch({"image": image})
        return self.case.template_fix(words, patch, values=values, commands=commands)


def _image_volumes(pod: Pod) -> Iterator[tuple[str, str]]:
    """Yield the volumes that are images, each with its reference."""
    for volume in objects(pod.raw, "spec", "volumes"):
        if text(volume, "image", "reference"):
            yield text(volume, "name"), text(volume, "image", "reference")


def _pulled(snapshot: Snapshot) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return (pod, image) of containers whose image is there, by namespace and repository."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for raw in snapshot.list("pods").items:
        for c in Pod(raw).containers:
            if c.image and text(c.status, "imageID"):
                key = (namespace_of(raw), parse_image(c.image).path)
                found.setdefault(key, []).append((name_of(raw), c.image))
    return found


def pull_failures(case: Case, *kinds: Pull) -> Iterator[PullFailure]:
    """Yield the containers of a case whose image is not there for one of ``kinds`` (all when empty)."""
    for container in case.containers:
        if container.waiting_reason in WAITING:
            failure = _read(case, container)
            if not kinds or failure.kind in kinds:
                yield failure


def classify(error: str, image: str = "") -> Pull:
    """Tell what a pull error means; names and URLs in it, which could hold any word, are not looked at."""
    if not error.strip():
        return Pull.UNSEEN
    words = _QUOTED_OR_URL.sub(" ", error)
    for name in (image, image.removeprefix("docker.io/")):
        if len(name) > 2:
            words = words.replace(name, " ")
    return next((kind for kind, pattern in _WORDS if pattern.search(words)), Pull.OTHER)


def brief(error: str) -> str:
    """Return the end of a chain of wrapped errors: what the registry or the network said."""
    short = " ".join(error[_matched(error) :].split())
    return short if len(short) <= 220 else short[:217] + "..."


def _matched(error: str) -> int:
    match = _WRAPPINGS.match(error)
    return match.end() if match else 0


def _names(words: str, reference: str) -> bool:
    """Tell whether a runtime's error quotes an image, as it was given or with docker's defaults filled in."""
    whole = parse_image(reference)
    return f'"{reference}"' in words or f'"{whole.path}:{whole.version}"' in words


def _read(case: Case, container: Container) -> PullFailure:
    reason, message = container.waiting_reason, container.waiting_message
    evidence: list[Evidence] = []
    last = ""
    back_off = _BACK_OFF.match(message)
    image = back_off["image"] if back_off else container.image
    error = (back_off["error"] or "") if back_off else message
    # The runtime's words name the image that fails; the container's own is not the only one that it waits for.
    meant = [ref for _, ref in _image_volumes(case.pod) if _names(error, ref)]
    if meant and not _names(error, container.image):
        image = meant[0]
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        # Newest first; the events of another image (the pod was edited) say nothing about this one.
        for event in reversed(case.events.select("Failed", "InspectFailed", container=container.name)):
            told = _FAILED.match(event.message)
            if told and told["image"] in (image, container.image):
                image = told["image"]
                last = event.evidence().time
                if not error:
                    error = told["error"]
                    evidence.append(event.evidence())
                break
    evidence.insert(0, container.fact("status", "state.waiting", f"{reason}: {message}".removesuffix(": "), last))
    kind = _BY_REASON.get(reason) or classify(error, image)
    return PullFailure(case, container, kind, image, brief(error), tuple(evidence))
