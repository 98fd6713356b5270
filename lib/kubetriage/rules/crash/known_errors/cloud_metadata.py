"""What a program asks a cloud's metadata service for, and does not get: its region, its identity."""

from __future__ import annotations

from kubetriage.rules.crash.acts import cloud, manifest, where
from kubetriage.rules.crash.known_errors.row import Advice, Row
from kubetriage.rules.crash.program_output import LastWords, Said
from kubetriage.values.commands import kubectl, placeholder, shell
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

_UNREACHED = lazy(
    r"(?i)(?:imds|169\.254\.169\.254|instance metadata|ec2 metadata|instance identity)[^\n]{0,200}"
    r"(?:deadline exceeded|time[d-]? ?out|not available|hop limit|refused)"
)


def _metadata(words: LastWords, _: Said) -> Advice:
    account = text(words.case.pod.raw, "spec", "serviceAccountName") or "default"
    unreached = _UNREACHED.search(words.text)
    reach = cloud(
        f"{'Let' if unreached else 'Or let'} pods reach the metadata service: hop limit 2 on the instances, and no "
        "NetworkPolicy or firewall before 169.254.169.254.",
        shell(
            *("aws", "ec2", "modify-instance-metadata-options", "--instance-id", placeholder("instance")),
            *("--http-endpoint", "enabled", "--http-put-response-hop-limit", "2"),
        ),
    )
    if unreached:
        region = manifest(
            words,
            "Or tell it what it asks for: AWS_REGION and its role (annotation eks.amazonaws.com/role-arn on "
            "ServiceAccount "
            f"{account}, or Pod Identity); a driver of the node may run with hostNetwork: true.",
        )
        return Advice(
            "it does not reach the metadata service of the cloud, which it asks for its region", (reach, region)
        )
    return Advice(
        "it got neither region nor credentials from the metadata service of the cloud",
        (
            manifest(
                words,
                f"Give it a role through ServiceAccount {account} (annotation "
                "eks.amazonaws.com/role-arn, Pod Identity), and the "
                f"region and VPC as arguments of {where(words)}.",
                None,
                kubectl("get", "serviceaccount", account, "-o", "yaml", namespace=words.case.pod.namespace),
            ),
            reach,
        ),
    )


ROWS: tuple[Row, ...] = (
    Row(
        "cloud-metadata",
        lazy(
            r"NoCredentialProviders|no EC2 IMDS role found|EC2MetadataRequestError|EC2RoleRequestError"
            r"|failed to get VPC ID|EC2MetadataError: |ec2imds: Get\w{3,40}"
            r"|(?:ec2|instance) (?:instance )?metadata (?:is )?not available"
            r"|from any metadata service|(?:instance data|metadata) from ec2|Failed to get AWS Region"
            r"|latest/(?:dynamic/instance-identity|meta-data|api/token)[^\n]{0,200}(?:exceeded|timeout|40[13]|refused)"
            r"|failed to (?:introspect|fetch) (?:the )?(?:region|vpc|instance)[^\n]{0,60}metadata"
            r"|Unable to locate credentials"
            r"|failed to refresh cached credentials"
        ),
        _metadata,
        beside=True,
    ),
)
