"""What the JVM itself said of its areas, against changes that would cap them: below it the program would not run."""

from __future__ import annotations

from kubetriage.rules.memory import jvm_areas
from kubetriage.rules.memory.case import Case

_CAPPED = (jvm_areas.DIRECT, jvm_areas.METASPACE, jvm_areas.CODE_CACHE)


def below_use(case: Case, after: Case) -> bool:
    """Tell whether a change caps an area below what native memory tracking shows that it holds."""
    nmt = case.wishes.nmt
    if nmt is None:
        return False
    before = {a.name: a.ceiling.size for a in case.budget.areas}
    return any(
        a.name in _CAPPED
        and a.ceiling.size is not None
        and a.ceiling.size != before.get(a.name)
        and a.ceiling.size < nmt.areas.get(a.name, 0)
        for a in after.budget.areas
    )
