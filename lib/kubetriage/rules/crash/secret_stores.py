"""Volumes of the secrets-store CSI driver: what fails is access to a vault, by class of its provider's error."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kubetriage.model import Actor, Fix
from kubetriage.needs import Get, Need
from kubetriage.records import dataclass
from kubetriage.rules.crash.case import Case
from kubetriage.rules.crash.pull_secrets import service_account
from kubetriage.values.commands import kubectl, pods_on
from kubetriage.values.fields import Obj, labels, text
from kubetriage.values.patterns import lazy

DRIVER = "secrets-store.csi.k8s.io"
_PROVIDERS = {
    "azure": lazy(r"azure|keyvault|key vault|\bNMI\b|AADSTS|aadpod", re.I),
    "aws": lazy(r"\baws\b|secretsmanager|AssumeRole|\bSTS\b|\bIRSA\b|amazonaws", re.I),
    "gcp": lazy(r"\bgcp\b|secretmanager\.googleapis|googleapis|iam\.gke", re.I),
    "vault": lazy(r"vault", re.I),
}
# In this order: a provider wraps "404" of its token endpoint, which is no missing secret.
_CLASSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("class", lazy(r"failed to get secretproviderclass|secretproviderclasses\S* \"[^\"]*\" not found", re.I)),
    (
        "provider",
        lazy(
            r"provider not found|error connecting to provider|provider \S+ (?:not found|is not registered)|"
            r"providers?/\S+\.sock|no such provider",
            re.I,
        ),
    ),
    (
        "identity",
        lazy(
            r"assigned identities|\bNMI\b|identity not found|acquire(?:d)? (?:a )?token|AADSTS\d+|ManagedIdentity|"
            r"WorkloadIdentity|federated|AssumeRoleWithWebIdentity|IAM role must be associated|"
            r"failed to (?:get|obtain|fetch) (?:credentials|token|auth)|unable to (?:get|fetch|generate) "
            r"(?:token|credential)|"
            r"error logging in|auth/\S+/login|(?:namespace|service account name) not authorized|no identity|"
            r"could not find default credentials|metadata server|iam\.serviceAccounts\.getAccessToken",
            re.I,
        ),
    ),
    (
        "network",
        lazy(
            r"ForbiddenByFirewall|not authorized.{0,200}firewall|dial tcp|no such host|i/o timeout|connection refused|"
            r"deadline exceeded|x509: ",
            re.I,
        ),
    ),
    (
        "denied",
        lazy(
            r"\b403\b|forbidden|access ?denied|permission ?denied|not authorized to perform|"
            r"does not have secrets? \w+ permission|does not have .{0,200}permission",
            re.I,
        ),
    ),
    (
        "absent",
        lazy(
            r"\b404\b|not ?found|does(?:n't| not) exist|no (?:secret|value|data) (?:exists )?(?:found )?at|no key", re.I
        ),
    ),
)


@dataclass(frozen=True)
class StoreFailure:
    """One refused access to a secret store."""

    case: Case
    name: str
    """The SecretProviderClass."""
    volume: str
    words: str
    kind: str
    """``class``, ``provider``, ``identity``, ``network``, ``denied``, ``absent`` or empty."""
    provider: str
    """``azure``, ``aws``, ``gcp``, ``vault`` or empty."""

    @property
    def message(self) -> str:
        """Say what fails: access, not a volume."""
        what = {
            "class": "it does not exist in the pod's namespace",
            "provider": "its provider's pod does not run on the node",
            "identity": "the pod got no identity to log in with",
            "network": "the store is not reached from the node",
            "denied": "the identity may not read the secret",
            "absent": "the store has no such object",
        }.get(self.kind, "the store's provider refuses")
        short = " ".join(self.words.split())
        short = short if len(short) <= 260 else "..." + short[-257:]
        return f"SecretProviderClass {self.name} (volume {self.volume}) cannot be read: {what}: {short}"

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """Say what to do by class of error."""
        namespace, look = (
            self.case.pod.namespace,
            kubectl("get", "secretproviderclass", self.name, "-o", "yaml", namespace=self.case.pod.namespace),
        )
        if self.kind == "class":
            words = (
                f"Create SecretProviderClass {self.name} in namespace {namespace}, or correct its name in the volume."
            )
            every = kubectl("get", "secretproviderclasses", "-A")
            return (self.case.template_fix(words, commands=(every,)),)
        if self.kind == "provider":
            words = (
                f"Bring the provider's DaemonSet pod up on {self.case.pod.node}; it opens the socket that the driver "
                "calls. SecretProviderClass names the provider."
            )
            where = pods_on(self.case.pod.node)
            return (Fix(words, actor=Actor.CLUSTER, commands=(where, look)),)
        if self.kind == "identity":
            return (self._identity(look),)
        if self.kind == "network":
            words = (
                f"Let {self.case.pod.node} reach the store: its address, DNS name and firewall rules (a "
                "private endpoint, "
                "or the nodes' outgoing addresses among the allowed ones)."
            )
            return (Fix(words, actor=Actor.CLOUD, commands=(look,)),)
        if self.kind == "denied":
            words = {
                "azure": "Give the identity the role Key Vault Secrets User on the vault, or get in its access policy",
                "aws": "Allow the pod's role secretsmanager:GetSecretValue and DescribeSecret on the secret, "
                "and its KMS key",
                "gcp": "Give the service account roles/secretmanager.secretAccessor on the secret",
                "vault": "Let a policy of the Vault role read the path",
            }.get(self.provider, "Let the identity read the object in the store")
            return (Fix(f"{words}. The volume is only the messenger.", actor=Actor.CLOUD, commands=(look,)),)
        if self.kind == "absent":
            words = (
                f"Compare the objects of SecretProviderClass {self.name} with the store: name, type, version and the "
                "store's own name. Create what is missing there, or correct the list."
            )
            return (Fix(words, actor=Actor.MANIFEST, commands=(look,)),)
        words = (
            f"Read the store's error above and the objects of SecretProviderClass {self.name}; the provider's pod on "
            f"{self.case.pod.node} logs the same with more."
        )
        return (Fix(words, actor=Actor.CLUSTER, commands=(look,)),)

    def _identity(self, look: str) -> Fix:
        pod, account = self.case.pod, service_account(self.case.pod)
        namespace = pod.namespace
        show = kubectl("get", "serviceaccount", account, "-o", "yaml", namespace=namespace)
        if self.provider == "azure":
            binding = pod.labels.get("aadpodidbinding", "")
            if binding or re.search(r"\bNMI\b|assigned identities|aadpodid", self.words):
                bound = (
                    f"whose selector is {binding}" if binding else "whose selector is the pod's label aadpodidbinding"
                )
                words = (
                    f"Give the pod an identity: an AzureIdentityBinding {bound}, and the AzureIdentity that "
                    "it names, must "
                    "exist. MIC must be allowed to assign it to the node (Managed Identity Operator); its log says. "
                    "aad-pod-identity is retired: workload identity replaces it."
                )
                objects = kubectl("get", "azureidentity,azureidentitybinding,azureassignedidentity", "-A")
                mic = kubectl("logs", "-l", "component=mic", "--tail=100", namespace="kube-system")
                return Fix(words, actor=Actor.CLOUD, commands=(objects, mic))
            words = (
                'Give the pod an identity: label azure.workload.identity/use: "true" on the pod template, annotation '
                f"azure.workload.identity/client-id on ServiceAccount {account}, and a federated credential for "
                f"system:serviceaccount:{namespace}:{account}. With a managed identity, assign it to the node pool."
            )
            return Fix(words, actor=Actor.CLOUD, commands=(show, look))
        if self.provider == "aws":
            words = (
                f"Give ServiceAccount {account} an IAM role: annotation eks.amazonaws.com/role-arn, and a "
                "trust policy of "
                f"that role for system:serviceaccount:{namespace}:{account}; or a Pod Identity association."
            )
            return Fix(words, actor=Actor.CLOUD, commands=(show, look))
        if self.provider == "gcp":
            words = (
                f"Bind ServiceAccount {account} to a Google service account by workload identity: annotation "
                f"iam.gke.io/gcp-service-account, and roles/iam.workloadIdentityUser for {namespace}/{account}."
            )
            return Fix(words, actor=Actor.CLOUD, commands=(show, look))
        if self.provider == "vault":
            words = (
                f"Let the Vault role that SecretProviderClass {self.name} names accept ServiceAccount "
                f"{account} of namespace "
                f"{namespace} (bound_service_account_names and _namespaces), and see that its auth method "
                "reaches the API "
                "server."
            )
            return Fix(words, actor=Actor.CLOUD, commands=(look, show))
        words = (
            f"Give the pod an identity that the store knows: SecretProviderClass {self.name} has its login, and "
            f"ServiceAccount {account} carries it."
        )
        return Fix(words, actor=Actor.CLOUD, commands=(look, show))


def needs(case: Case, source: Obj) -> Iterator[Need]:
    """Ask for the SecretProviderClass of a volume."""
    name = _class(source)
    if name:
        yield Get("secretproviderclasses", case.pod.namespace, name)


def _class(source: Obj) -> str:
    return (
        text(source, "csi", "volumeAttributes", "secretProviderClass")
        if text(source, "csi", "driver") == DRIVER
        else ""
    )


def read(case: Case, volume: str, source: Obj, words: str) -> StoreFailure | None:
    """Read a failed mount of a secrets-store volume; None for any other volume."""
    name = _class(source)
    if not name:
        return None
    found = case.snapshot.get("secretproviderclasses", case.pod.namespace, name)
    provider = text(found.obj, "spec", "provider") or next((p for p, w in _PROVIDERS.items() if w.search(words)), "")
    kind = next((k for k, pattern in _CLASSES if pattern.search(words)), "")
    if found.absent and not found.presumed:
        kind = "class"
    if provider == "azure" and kind == "denied" and labels(case.pod.raw, "metadata", "labels").get("aadpodidbinding"):
        kind = "identity" if re.search(r"identit", words, re.I) else kind
    return StoreFailure(case, name, volume, words, kind, provider)
