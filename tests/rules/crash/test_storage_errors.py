"""Mounts, attachments and secret stores by class of the words."""

import pytest

from kubetriage.model import Actor
from support.objects import advised, crash_findings, event, obj, pod, status, waiting

CLAIMED = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
BOUND = obj("PersistentVolumeClaim", "data", spec={"volumeName": "pv-1"}, status={"phase": "Bound"})


def held(message, reason="FailedMount", volumes=CLAIMED, **more):
    target = pod(statuses=[status(state=waiting("ContainerCreating"))], phase="Pending", volumes=volumes, **more)
    return target, event(reason, message)


@pytest.mark.parametrize(
    ("why", "word", "actor"),
    [
        (
            "rpc error: code = Internal desc = Could not attach volume: UnauthorizedOperation: not authorized",
            "rights to attach",
            Actor.CLOUD,
        ),
        ('rpc error: code = NotFound desc = Volume "vol-1" not found', "restore the data", Actor.CLOUD),
        ("AttachVolume failed: maximum number of data disks 8 allowed", "fewer disks", Actor.CLOUD),
        ("rpc error: disk 'x' is attached to another instance", "Detach it", Actor.CLOUD),
        ("InvalidVolume.ZoneMismatch: The volume is not in the same availability zone", "volume's zone", Actor.CLOUD),
        ("timed out waiting for external-attacher of ebs.csi.aws.com CSI driver", "csi-attacher", Actor.CLUSTER),
        ('Instance "i-0abc" not found', "providerID", Actor.CLOUD),
        ("RequestLimitExceeded: Request limit exceeded", "Wait", Actor.CLOUD),
        ("Disk 'pv-1' cannot be attached to the VM because it is not in zone '2'.", "volume's zone", Actor.CLOUD),
        (
            'rpc error: ControllerPublish not permitted on node "projects/p/zones/z/n" due to backoff condition',
            "first error",
            Actor.CLOUD,
        ),
        ("the moon is full", "not known here", Actor.CLUSTER),
    ],
)
def test_attachments_by_class(why, word, actor):
    target, told = held(f'AttachVolume.Attach failed for volume "pv-1" : {why}', "FailedAttachVolume")
    (found,) = crash_findings(target, told, BOUND)
    assert found.cause == "VolumeAttachFailed"
    assert word in advised(found)
    assert found.fix[0].actor is actor


@pytest.mark.parametrize(
    ("why", "word", "actor"),
    [
        (
            "mount failed: exit status 32 Output: mount.nfs: access denied by server while mounting 10.0.0.9:/x",
            "export",
            Actor.CLOUD,
        ),
        ("mount error(13): Permission denied, cifs", "Secret of the volume", Actor.CLOUD),
        ("mount: wrong fs type, bad option, bad superblock on /dev/sdb", "never format", Actor.NODE),
        ("'fsck' found errors on device /dev/xvdba but could not correct them", "snapshot", Actor.NODE),
        ("stat /x: stale NFS file handle", "Delete the pod", Actor.NODE),
        ("transport endpoint is not connected", "node pod", Actor.NODE),
        ("applyFSGroup failed for vol: lchown /x: operation not permitted", "fsGroup", Actor.MANIFEST),
        (
            "rpc error: code = Aborted desc = an operation with the given Volume ID already exists",
            "first try",
            Actor.CLUSTER,
        ),
        ("mount.nfs: Connection timed out", "2049", Actor.CLOUD),
        ("rbd: sysfs write failed\nrbd: map failed: (6) No such device or address", "dmesg", Actor.NODE),
        ("the moon is full", "not known here", Actor.CLUSTER),
    ],
)
def test_mounts_by_class(why, word, actor):
    target, told = held(f'MountVolume.SetUp failed for volume "data" : {why}')
    (found,) = crash_findings(target, told, BOUND)
    assert found.cause == "VolumeMountError"
    assert word in advised(found) + found.message
    assert found.fix[0].actor is actor


def test_an_owner_change_that_goes_on_is_told():
    slow = "Setting volume ownership for pvc-1 is taking longer than expected, consider using OnRootMismatch"
    target, told = held(slow, "VolumePermissionChangeInProgress")
    (found,) = crash_findings(target, told, BOUND)
    assert found.cause == "VolumeMountError"
    assert "OnRootMismatch" in advised(found)


def store(words, *, provider="", labels=None, driver="secrets-store.csi.k8s.io", known=True):
    attributes = {"secretProviderClass": "vault-db"}
    volumes = [{"name": "secrets", "csi": {"driver": driver, "volumeAttributes": attributes}}]
    target, told = held(f'MountVolume.SetUp failed for volume "secrets" : {words}', volumes=volumes, labels=labels)
    objects = [obj("SecretProviderClass", "vault-db", spec={"provider": provider})] if known else []
    return crash_findings(target, told, *objects)[0]


@pytest.mark.parametrize(
    ("words", "provider", "act"),
    [
        (
            "nmi response failed with status code: 404, getting assigned identities for pod",
            "azure",
            "AzureIdentityBinding",
        ),
        (
            "failed to acquire token: AADSTS70021: No matching federated identity record",
            "azure",
            "azure.workload.identity",
        ),
        ("WebIdentityErr: AssumeRoleWithWebIdentity AccessDenied", "aws", "eks.amazonaws.com/role-arn"),
        ("An IAM role must be associated with service account api", "aws", "role-arn"),
        ("error logging in: 403 permission denied auth/kubernetes/login", "vault", "bound_service_account_names"),
        ("iam.serviceAccounts.getAccessToken denied", "gcp", "workloadIdentityUser"),
        (
            "keyvault.BaseClient#GetSecret: StatusCode=403 Code=Forbidden ForbiddenByRbac",
            "azure",
            "Key Vault Secrets User",
        ),
        ("is not authorized to perform: secretsmanager:GetSecretValue", "aws", "GetSecretValue"),
        (
            "Code=SecretNotFound A secret with (name/id) db was not found in this key vault",
            "azure",
            "Compare the objects",
        ),
        (
            "ResourceNotFoundException: Secrets Manager can't find the specified secret. not found",
            "aws",
            "Compare the objects",
        ),
        ("ForbiddenByFirewall: client address is not authorized", "azure", "firewall rules"),
        ("dial tcp 10.0.0.1:8200: i/o timeout", "vault", "firewall rules"),
        ('provider not found: provider "azure"', "azure", "DaemonSet pod"),
    ],
)
def test_secret_stores_by_class(words, provider, act):
    found = store(words, provider=provider)
    assert found.cause == "VolumeMountError"
    assert "SecretProviderClass vault-db" in found.message
    assert act in advised(found)
    assert found.details["secretProviderClass"] == "vault-db"


def test_the_pods_own_label_names_the_binding():
    words = "nmi response failed with status code: 404, getting assigned identities for pod"
    found = store(words, provider="azure", labels={"aadpodidbinding": "azure-kv"})
    assert "selector is azure-kv" in advised(found)


def test_a_class_that_does_not_exist():
    found = store(
        'failed to get secretproviderclass shop/vault-db, error: secretproviderclasses "vault-db" not found',
        known=False,
    )
    assert "Create SecretProviderClass vault-db in namespace shop" in advised(found)


def test_another_drivers_volume_is_no_secret_store():
    found = store("rpc error: permission denied", driver="other.csi", provider="azure")
    assert "SecretProviderClass" not in found.message
