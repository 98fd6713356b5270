"""etcd's database against its quota."""

from __future__ import annotations

from kubetriage.rules.plane.etcd_members import Member
from kubetriage.rules.plane.thresholds import DEFAULT_QUOTA_BYTES


def used(member: Member) -> float | None:
    """Return the size of a member's database as a share of its quota."""
    database = member.database
    if database is None:
        return None
    return database[0] / (database[2] or DEFAULT_QUOTA_BYTES)
