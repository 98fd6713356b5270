"""What to do about rejected credentials, by the kind of server that rejected them."""

from __future__ import annotations

import re
from collections.abc import Callable

from kubetriage.model import Fix
from kubetriage.readers.logs import Address
from kubetriage.rules.crash.acts import app, cloud, manifest, where
from kubetriage.rules.crash.cloud_identities import denied_action
from kubetriage.rules.crash.dependency_lookup import service_names
from kubetriage.rules.crash.program_output import LastWords
from kubetriage.rules.crash.vault_logins import LOGIN, refused_login
from kubetriage.values.commands import kubectl, placeholder
from kubetriage.values.fields import text
from kubetriage.values.patterns import lazy

_FIRST_START = (
    "The image sets passwords only when it initializes an empty volume; a Secret that changed later "
    "changes nothing in the "
    "database."
)


def by_server(words: LastWords, address: Address, user: str) -> tuple[str, tuple[Fix, ...]]:
    """Return what the server's words mean (a clause, may be empty) and what ends it on the server's side."""
    said = f"{address.line} {words.error.summary if words.error is not None else ''}"
    for pattern, advise in _KINDS:
        if pattern.search(said):
            return advise(words, address, user, said)
    return "", ()


def _inside(words: LastWords, address: Address, *command: str) -> tuple[str, ...]:
    """Write a command in a pod behind the Service that the address names; nothing for an address of the outside."""
    for name, namespace in service_names(words.case, address.host) if address.host else ():
        if words.case.snapshot.get("services", namespace, name).found:
            return (kubectl("exec", "-it", f"svc/{name}", "--", *command, namespace=namespace),)
    return ()


def _postgres(words: LastWords, address: Address, user: str, _: str) -> tuple[str, tuple[Fix, ...]]:
    role = user or placeholder("user")
    return "", (
        app(
            f"Set the password in the database to that of the Secret (ALTER ROLE {role} PASSWORD), or "
            "put the old one back "
            f"into the Secret. {_FIRST_START}",
            *_inside(words, address, "psql", "-U", "postgres", "-c", f"\\password {role}"),
        ),
    )


def _no_entry(words: LastWords, _: Address, user: str, said: str) -> tuple[str, tuple[Fix, ...]]:
    plain = "no encryption" in said or "SSL off" in said
    first = (
        manifest(words, f"Connect with TLS: set sslmode=require in the connection settings of {where(words)}.")
        if plain
        else manifest(
            words, f"See whether the server wants no TLS from here: sslmode in the settings of {where(words)}."
        )
    )
    entry = app(
        f"Or let the server's pg_hba.conf accept {user or 'the user'} from the pods' addresses (host lines are read in "
        "order), and reload it: select pg_reload_conf()."
    )
    return "the server has no pg_hba.conf line for this user, database, address and TLS setting", (first, entry)


def _no_role(_: LastWords, __: Address, user: str, ___: str) -> tuple[str, tuple[Fix, ...]]:
    return "the server has no such user", (
        app(f"Create it (CREATE ROLE {user or 'NAME'} LOGIN PASSWORD), or name one that exists. {_FIRST_START}"),
    )


def _mysql(words: LastWords, address: Address, user: str, said: str) -> tuple[str, tuple[Fix, ...]]:
    name = user or placeholder("user")
    if "using password: NO" in said:
        return "it sent no password at all", (
            manifest(
                words, f"Give {where(words)} the password: the variable that holds it is empty or has another name."
            ),
        )
    return "", (
        app(
            f"Set the password in the server to that of the Secret: ALTER USER '{name}'@'%' "
            "IDENTIFIED BY; the account must "
            f"allow the pods' addresses ('{name}'@'%'), with GRANT on the database. {_FIRST_START}",
            *_inside(words, address, "mysql", "-u", "root", "-p", "-e", "SELECT user, host, plugin FROM mysql.user"),
        ),
    )


def _redis(words: LastWords, _: Address, __: str, said: str) -> tuple[str, tuple[Fix, ...]]:
    if "NOAUTH" in said:
        return "the server wants a password, and the client sends none", (
            manifest(
                words,
                f"The password is missing in the settings of {where(words)}: set it from "
                "the server's Secret, also "
                "in the URL (redis://:PASSWORD@HOST).",
            ),
        )
    if "NOPERM" in said:
        return "the user is known and may not run that command", (
            app("Extend the ACL of the user: ACL SETUSER, then ACL SAVE."),
        )
    if "without any password configured" in said:
        return "the server has no password, and the client sends one", (
            manifest(
                words, f"Remove the password from the settings of {where(words)}, or set requirepass on the server."
            ),
        )
    return "the password or user is another one than the server has", (
        manifest(
            words,
            "Take the password from the Secret that the server's chart made; it changes "
            "when the chart is installed "
            "anew and the volume stays.",
        ),
    )


def _mongo(words: LastWords, _: Address, __: str, ___: str) -> tuple[str, tuple[Fix, ...]]:
    return "", (
        manifest(
            words,
            f"Set authSource in the URI of {where(words)} to the database in which the "
            "user was made (often admin), "
            "and the mechanism (SCRAM-SHA-256).",
        ),
        app(f"Or set the user's password on the server: db.changeUserPassword. {_FIRST_START}"),
    )


def _rabbit(words: LastWords, address: Address, user: str, _: str) -> tuple[str, tuple[Fix, ...]]:
    name = user or placeholder("user")
    guest = "The user guest may only connect from localhost. " if user == "guest" else ""
    return "", (
        app(
            f"{guest}Set the user's password on the broker to that of the Secret, and its permissions "
            "on the virtual host; "
            "default users are made only on the first start with an empty volume.",
            *_inside(words, address, "rabbitmqctl", "change_password", name, placeholder("password")),
        ),
    )


def _kafka(words: LastWords, _: Address, __: str, said: str) -> tuple[str, tuple[Fix, ...]]:
    if "uthorizationException" in said:
        return "the user is known and may not use the topic or group", (
            app("Add an ACL for the topic and the consumer group: kafka-acls --add, or KafkaUser in Strimzi."),
        )
    return "", (
        manifest(
            words,
            "Compare sasl.mechanism, security.protocol and sasl.jaas.config of "
            f"{where(words)} with the listener; a "
            "SCRAM user must exist on the brokers (kafka-configs --describe --entity-type users).",
        ),
    )


def _aws(words: LastWords, _: Address, __: str, said: str) -> tuple[str, tuple[Fix, ...]]:
    case = words.case
    account = text(case.pod.raw, "spec", "serviceAccountName") or "default"
    show = kubectl("get", "serviceaccount", account, "-o", "yaml", namespace=case.pod.namespace)
    if "WebIdentity" in said:
        subject = f"system:serviceaccount:{case.pod.namespace}:{account}"
        return "the IAM role does not trust this ServiceAccount", (
            cloud(
                "Let the trust policy of the role name the cluster's OIDC provider and the subject "
                f"{subject}; the role is the "
                f"annotation eks.amazonaws.com/role-arn of ServiceAccount {account}.",
                show,
            ),
        )
    if "xpired" in said:
        return "its cloud credentials have expired", (
            manifest(
                words,
                "Use the role of the ServiceAccount (IRSA, Pod Identity) in "
                f"{where(words)} in place of keys that "
                "expire, or renew the Secret and restart.",
            ),
        )
    if "AccessKeyId" in said or "Signature" in said or "InvalidClientTokenId" in said or "Unrecognized" in said:
        return "the access key is unknown or its secret does not fit", (
            manifest(
                words,
                f"Compare AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of {where(words)} "
                "with the account; they win "
                "over the role of the ServiceAccount.",
            ),
            cloud(
                "See whether the key is still active in IAM.",
            ),
        )
    who = _ROLE.search(said)
    what = _ACTION.search(said)
    action = what[1] if what is not None else "the action that the error names"
    on_node = who is not None and "/i-" in who[0]
    if on_node and who is not None:
        return (
            f"it acts with the role of its node ({who[1]}), which may not do {action}: no role of its own "
            f"reaches the pod",
            (
                manifest(
                    words,
                    f"Give ServiceAccount {account} a role of its own that may do {action}: annotation "
                    "eks.amazonaws.com/role-arn (IRSA) or a Pod Identity association; then restart the pods.",
                    None,
                    show,
                ),
            ),
        )
    denied = denied_action(words.text)
    if denied is not None and denied.known:
        return "the role is accepted and may not do this", (denied.fix((show,)),)
    role = f"role {who[1]}" if who is not None else f"the role of ServiceAccount {account}"
    return "the role is accepted and may not do this", (
        cloud(
            f"Allow {action} in the IAM policy of {role} (annotation eks.amazonaws.com/role-arn of ServiceAccount "
            f"{account}, or a Pod Identity association), and see that no bucket, key or boundary policy denies it.",
            show,
        ),
    )


_ROLE = lazy(r"assumed-role/([\w+=,.@-]{1,64})(?:/[\w+=,.@-]{1,64})?")
_ACTION = lazy(r"(?:not authorized to perform:? |allows the )([a-z0-9-]{2,40}:[A-Za-z*]{2,80})")


def _azure(words: LastWords, _: Address, __: str, ___: str) -> tuple[str, tuple[Fix, ...]]:
    case = words.case
    account = text(case.pod.raw, "spec", "serviceAccountName") or "default"
    return "", (
        cloud(
            "Workload identity: a federated credential with the subject "
            f"system:serviceaccount:{case.pod.namespace}:{account} "
            "and the cluster's issuer must exist on the identity."
        ),
        manifest(
            words,
            'The pod needs the label azure.workload.identity/use: "true", and '
            f"ServiceAccount {account} the "
            "annotation azure.workload.identity/client-id.",
            {},
            kubectl("get", "serviceaccount", account, "-o", "yaml", namespace=case.pod.namespace),
        ),
    )


def _git(words: LastWords, _: Address, __: str, ___: str) -> tuple[str, tuple[Fix, ...]]:
    return "", (
        cloud("Add the public key as a deploy key of the repository, or renew the token; tokens of deleted users end."),
        manifest(words, f"Mount the private key into {where(words)} with defaultMode 0400, and known_hosts beside it."),
    )


def _vault(words: LastWords, _: Address, __: str, ___: str) -> tuple[str, tuple[Fix, ...]]:
    return refused_login(words.case.pod, words.text) or ("", ())


_Advise = Callable[[LastWords, Address, str, str], tuple[str, tuple[Fix, ...]]]
# By the server's own words; the most telling first.
_KINDS: tuple[tuple[re.Pattern[str], _Advise], ...] = (
    (LOGIN, _vault),
    (lazy(r"pg_hba\.conf"), _no_entry),
    (lazy(r"role \"[^\"]{1,80}\" does not exist"), _no_role),
    (lazy(r"Access denied for user|ER_ACCESS_DENIED|\bmysql\b|mariadb|ERROR 1045", re.IGNORECASE), _mysql),
    (lazy(r"password authentication failed|psycopg|pgx|postgres|\bpq:|28P01", re.IGNORECASE), _postgres),
    (lazy(r"NOAUTH|WRONGPASS|NOPERM|ERR AUTH|\bredis\b|invalid username-password pair"), _redis),
    (lazy(r"mongo|SCRAM-SHA-1\b|Authentication failed\., full error|code.{0,4}18\b", re.IGNORECASE), _mongo),
    (lazy(r"ACCESS_REFUSED|amqp|rabbit|AccessRefused", re.IGNORECASE), _rabbit),
    (lazy(r"Sasl|SASL|kafka|(?:Topic|Group)AuthorizationException"), _kafka),
    (
        lazy(
            r"WebIdentity|AccessKeyId|SignatureDoesNotMatch|InvalidClientTokenId|ExpiredToken|UnrecognizedClient|AccessDenied"
            r"|\bsts:|arn:aws|not authorized to perform"
        ),
        _aws,
    ),
    (lazy(r"AADSTS|ManagedIdentity|login\.microsoftonline|WorkloadIdentityCredential"), _azure),
    (lazy(r"publickey|could not read (?:Username|Password)|git@|HTTP Basic: Access denied"), _git),
)
