"""What a program lacks to use a cloud: credentials, a region, a bucket."""

from __future__ import annotations

from kubetriage.model import Evidence, Fix
from kubetriage.rules.crash.acts import app, cloud, manifest, operator, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import labels, objects, text
from kubetriage.values.patterns import lazy

_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_USES = "azure.workload.identity/use"


def _account(words: LastWords) -> str:
    return text(words.case.pod.raw, "spec", "serviceAccountName") or "default"


def _variables(words: LastWords) -> dict[str, str]:
    return {text(e, "name"): text(e, "value") for e in objects(words.container.spec, "env")}


def _annotate(words: LastWords, key: str, value: str) -> str:
    return kubectl("annotate", "serviceaccount", _account(words), f"{key}={value}", namespace=words.case.pod.namespace)


def _google(words: LastWords, _: Said) -> Advice:
    """Tell a pod on Google Cloud, which has a metadata server, from one that needs a key."""
    provider = text(words.case.node.obj, "spec", "providerID")
    named = _KEY_FILE in _variables(words)
    key = manifest(
        words,
        f"Mount a key or a federation file from a Secret, and name its path in {_KEY_FILE} of {where(words)}.",
        None,
        kubectl(
            *("create", "secret", "generic", f"{words.case.workload.name}-google"),
            *("--from-file=key.json=KEY.json",),
            namespace=words.case.pod.namespace,
        ),
    )
    metadata = operator(
        "On GKE the metadata server gives them: let pods reach it (a NetworkPolicy must allow 169.254.169.252 and "
        f".254, ports 988, 987 and 80), and bind ServiceAccount {_account(words)} to an IAM role (Workload Identity).",
        _annotate(words, "iam.gke.io/gcp-service-account", "ACCOUNT@PROJECT.iam.gserviceaccount.com"),
    )
    at_google = provider.startswith("gce://")
    proof = (Evidence("config", f"nodes[{words.case.pod.node}].spec.providerID", provider),) if provider else ()
    fixes: tuple[Fix, ...] = (metadata, key) if at_google else (key,) if provider else (key, metadata)
    if named:
        fixes = (manifest(words, f"See that the file which {_KEY_FILE} names is mounted and readable."), *fixes)
    return Advice(
        "Google's library finds no credentials: no key file"
        + (", and no answer of the metadata server" if at_google or not provider else "; this node is not Google's"),
        fixes,
        proof,
        details={"setting": _KEY_FILE},
    )


def _azure(words: LastWords, _: Said) -> Advice:
    """Tell which part of Azure's workload identity the pod lacks, by what its webhook added."""
    pod = words.case.pod
    given = _variables(words)
    namespace = pod.namespace
    recreated = kubectl("delete", "pod", pod.name, namespace=namespace)
    if "AZURE_CLIENT_SECRET" in given or "AZURE_CLIENT_CERTIFICATE_PATH" in given:
        lacks = ", ".join(v for v in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID") if not given.get(v)) or "a valid secret"
        first = manifest(words, f"The environment of {where(words)} is to name a principal and lacks {lacks}: set it.")
    elif labels(pod.raw, "metadata", "labels").get(_USES) != "true":
        first = manifest(
            words,
            f'Set the label {_USES}: "true" in the pod template of {words.case.workload_name}: without it the webhook '
            "gives the pod no token.",
            yaml=f'spec:\n  template:\n    metadata:\n      labels:\n        {_USES}: "true"\n',
        )
    elif "AZURE_FEDERATED_TOKEN_FILE" not in given:
        first = operator(
            "The pod has the label and nothing of the webhook: see that azure-wi-webhook runs (AKS: "
            "--enable-workload-identity), then recreate the pod.",
            kubectl("get", "mutatingwebhookconfigurations", "azure-wi-webhook-mutating-webhook-configuration"),
            recreated,
        )
    else:
        first = cloud(
            f"The pod has its token: let the identity {given.get('AZURE_CLIENT_ID') or '(AZURE_CLIENT_ID)'} have a "
            f"federated credential for system:serviceaccount:{namespace}:{_account(words)} of this cluster's issuer."
        )
    return Advice(
        "Azure's library finds no credentials by any of its ways",
        (
            first,
            manifest(
                words,
                f"ServiceAccount {_account(words)} must name the identity, and its pods start after that.",
                None,
                _annotate(words, "azure.workload.identity/client-id", placeholder("client-id")),
            ),
            cloud("Without workload identity: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET from a Secret."),
        ),
        details={"setting": "AZURE_CLIENT_ID"},
    )


def _region(words: LastWords, _: Said) -> Advice | None:
    if any(_variables(words).get(v) for v in ("AWS_REGION", "AWS_DEFAULT_REGION")):
        return None
    at = labels(words.case.node.obj, "metadata", "labels").get("topology.kubernetes.io/region", "")
    value = at or placeholder("region")
    top = words.case.workload
    settable = top.kind in ("Deployment", "StatefulSet", "DaemonSet")
    change = (
        (
            kubectl(
                *("set", "env", f"{top.kind.lower()}/{top.name}", "-c", words.container.name, f"AWS_REGION={value}"),
                namespace=words.case.pod.namespace,
            ),
        )
        if settable
        else ()
    )
    here = f"; the node's is {at}" if at else ""
    return Advice(
        "the AWS library is not told a region",
        (
            manifest(
                words,
                f"Set AWS_REGION in {where(words)} to the region of what it calls{here}.",
                None if settable else words.container.patch({"env": [{"name": "AWS_REGION", "value": value}]}),
                *change,
            ),
        ),
        (Evidence("config", f"nodes[{words.case.pod.node}].metadata.labels", f"region {at}"),) if at else (),
        details={"setting": "AWS_REGION"},
    )


def _bucket(words: LastWords, said: Said) -> Advice:
    name = said.match["bucket"] or said.match["quoted"] or ""
    which = f"bucket {name}" if name else "the bucket that its settings name"
    return Advice(
        f"{which} does not exist in its object storage",
        (
            app(
                f"Create {which}, or correct its name in the settings of {where(words)}; the name belongs to one "
                "region and one endpoint, so compare these too.",
                kubectl(
                    *("set", "env", f"pod/{words.case.pod.name}", "-c", words.container.name, "--list"),
                    namespace=words.case.pod.namespace,
                ),
            ),
        ),
        details={"bucket": name} if name else {},
    )


ROWS: tuple[Row, ...] = (
    Row(
        "google-credentials",
        lazy(r"could not find default credentials|Your default credentials were not found|DefaultCredentialsError"),
        _google,
        "AppConfigMissing",
        beside=True,
    ),
    Row(
        "azure-credentials",
        lazy(
            r"(?:Default|Chained|Managed|Workload)\w{0,20}Credential(?: failed to retrieve a token"
            r"| authentication failed|: failed to acquire a token| authentication unavailable)"
            r"|CredentialUnavailableE\w{3,10}"
        ),
        _azure,
        "AppConfigMissing",
        beside=True,
    ),
    Row(
        "aws-region",
        lazy(
            r"(?i)an AWS region is required|Missing region in config|You must specify a region|NoRegionError"
            r"|Unable to find a region via the region provider|MissingRegion|Region is missing"
            r"|Unable to load region from any of the providers"
        ),
        _region,
        "AppConfigMissing",
        beside=True,
    ),
    Row(
        "bucket-missing",
        lazy(
            r"(?i)\bNoSuchBucket\b(?:[^\n]{0,200}\"bucketname\":\s?\"(?P<quoted>[\w.-]{3,63})\")?"
            r"|(?:the )?(?:specified )?bucket (?:['\"`]?(?P<bucket>[\w.-]{3,63})['\"`]? )?(?:does not|doesn't) exist"
        ),
        _bucket,
        beside=True,
    ),
)
