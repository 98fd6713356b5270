"""What every object of the API has, read from its raw JSON."""

from __future__ import annotations

from kubetriage.model import Ref
from kubetriage.values.fields import Obj, condition, name_of, namespace_of, uid_of


class ApiObject:
    """Base of the readers of one kind of object; a dataclass that derives from it holds ``raw``."""

    raw: Obj
    kind: str
    """Kubernetes kind: of the class, or a field where one class reads several kinds."""

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return name_of(self.raw)

    @property
    def namespace(self) -> str:
        """``metadata.namespace``."""
        return namespace_of(self.raw)

    @property
    def uid(self) -> str:
        """``metadata.uid``."""
        return uid_of(self.raw)

    @property
    def ref(self) -> Ref:
        """Reference to the object."""
        return Ref(self.kind, self.namespace, self.name, self.uid)

    def condition(self, kind: str) -> Obj:
        """Return the condition of this type, or an empty object."""
        return condition(self.raw, kind)
