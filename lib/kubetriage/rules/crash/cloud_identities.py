"""What a cloud says when an identity may not do something: who asked, for what, and the policy that allows it."""

from __future__ import annotations

from kubetriage.data import table
from kubetriage.model import Actor, Fix
from kubetriage.records import dataclass
from kubetriage.values.commands import placeholder, shell
from kubetriage.values.patterns import lazy

# AWS: "User: ARN is not authorized to perform: SERVICE:ACTION on resource: ARN".
_DENIED = lazy(
    r"(?:User: (?P<who>arn:[\w:/.@+=,-]{1,300}) is )?not authorized to perform: "
    r"(?P<action>[a-z0-9-]{2,30}:\w{2,60})"
)
_ROLE = lazy(r"\Aarn:aws[\w-]{0,10}:sts::\d{12}:assumed-role/(?P<role>[\w+=,.@-]{1,64})/")


@dataclass(frozen=True)
class Denied:
    """An action that an identity of AWS may not take."""

    who: str
    action: str

    @property
    def role(self) -> str:
        """Name of the role that the identity assumed; empty for a user and where it is not told."""
        match = _ROLE.match(self.who)
        return match["role"] if match is not None else ""

    @property
    def known(self) -> bool:
        """Tell whether the action is of a managed or published policy."""
        return any(self.action in r["actions"] for r in table("cloud_policies")["rows"])

    def fix(self, look: tuple[str, ...] = ()) -> Fix:
        """Say which policy the role lacks; a role of the machine means that the pod has none of its own."""
        row = next((r for r in table("cloud_policies")["rows"] if self.action in r["actions"]), None)
        who = f"role {self.role}" if self.role else "the identity of the program"
        needs = f"managed policy {row['policy']} ({row['for']})" if row else f"a policy that allows {self.action}"
        words = f"Give {who} {needs}: it may not call {self.action}."
        own = (
            f" {self.role} is a role of the machines: better give the ServiceAccount of the add-on a role of its own "
            "(Pod Identity, or annotation eks.amazonaws.com/role-arn)."
            if "node" in self.role.lower()
            else ""
        )
        attach = (
            (
                shell(
                    *("aws", "iam", "attach-role-policy", "--role-name", self.role or placeholder("role")),
                    *("--policy-arn", str(row["arn"])),
                ),
            )
            if row and row.get("arn")
            else ()
        )
        more = f" {row['also']}" if row and row.get("also") else ""
        return Fix(f"{words}{own}{more}", actor=Actor.CLOUD, commands=(*attach, *look))


def denied_action(words: str) -> Denied | None:
    """Read who may not do what; None where the words do not tell."""
    match = _DENIED.search(words)
    return Denied(match["who"] or "", match["action"]) if match is not None else None
