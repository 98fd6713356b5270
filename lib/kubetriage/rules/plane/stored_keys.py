"""What is stored encrypted and cannot be read with the keys that the API server was given: in come its words.

What is said of a value is enough to tell an absent provider from an absent key, not which of both was there before.
"""

from __future__ import annotations

import re

from kubetriage.model import Actor, Fix
from kubetriage.rules.machine import Machine
from kubetriage.values.commands import Command, kubectl, shell
from kubetriage.values.patterns import lazy

# apiserver/pkg/storage/value: transformer.go (prefixes and keys), encrypt/aes, encrypt/secretbox; 1.13 to 1.37.
UNREADABLE = lazy(
    r"unable to transform key \\?\"?(?P<key>/[\w./:-]{1,400})?\\?\"?: .{0,200}?(?P<why>no matching prefix found"
    r"|no matching key was found|invalid padding on input|message authentication failed"
    r"|output array was not large enough|stored data is not a multiple of the block size|unknown AES format"
    r"|identity transformer tried to read encrypted data)"
)
_PLAIN = ("no matching prefix",)
_ENCRYPTED = ("identity transformer",)


def told(match: re.Match[str]) -> tuple[str, str]:
    """Return what was asked for (``secrets default/token``), and the reason in the API server's words."""
    parts = [p for p in (match["key"] or "").split("/") if p]
    return (f"{parts[1]} {'/'.join(parts[2:])}".strip() if len(parts) > 1 else "", match["why"])


def meaning(what: str, why: str) -> str:
    """Say what the words mean."""
    shown = f"The API server cannot read {what or 'what it stored encrypted'}"
    if why.startswith(_PLAIN):
        return (
            f"{shown}: no provider of its EncryptionConfiguration fits how it is stored ({why}). It was stored in plain"
            " and identity is missing, or by a provider that was taken out."
        )
    if why.startswith(_ENCRYPTED):
        return f"{shown}: it is stored encrypted, and no provider that decrypts it is configured any more ({why})."
    return f"{shown}: it was encrypted with a key that this API server does not have ({why})."


def fixes(machine: Machine, what: str, why: str) -> tuple[Fix, ...]:
    """Say how what is stored becomes readable again, and what not to do before."""
    keep = Fix(
        "Delete nothing and restore nothing before that: the data are whole, only the key is missing. If the key is"
        " lost for good, delete these objects in etcd and make them anew."
    )
    commands = look(machine)
    if machine.managed:
        return (Fix("Ask the provider which key encrypts the cluster's Secrets, and enable that key again."), keep)
    again = "Then store everything anew: kubectl get secrets -A -o json | kubectl replace -f -"
    resource = what.partition(" ")[0] or "secrets"
    same = "Give every API server the same file, and restart it."
    if why.startswith(_PLAIN):
        return (
            Fix(
                f"Add identity: {{}} as the last provider of {resource} in the EncryptionConfiguration. If a provider"
                f" or key was taken out or replaced lately, put that back too. {same}",
                actor=Actor.CLUSTER,
                commands=commands,
            ),
            Fix(f"{again}; only after that may identity or an old key go.", actor=Actor.CLUSTER),
            keep,
        )
    return (
        Fix(
            f"Put the old key back into the EncryptionConfiguration, behind the new one, with its old name and provider"
            f" (from another API server, or a backup of the file). {same}",
            actor=Actor.CLUSTER,
            commands=commands,
        ),
        Fix(f"{again}; only after that may the old key go.", actor=Actor.CLUSTER),
        keep,
    )


def look(machine: Machine) -> tuple[Command, ...]:
    """Return how the providers of a machine are read without their keys."""
    folder = machine.path("manifests")
    if not folder:
        return ()
    file = f"sudo grep -o -e 'encryption-provider-config=[^ ]*' {folder}/kube-apiserver.yaml"
    return (shell("ssh", machine.address, file),)


def check() -> Command:
    """Return the command that shows that Secrets can be read again."""
    return kubectl("get", "secrets", "-A", "--chunk-size=0", "-o", "name")
