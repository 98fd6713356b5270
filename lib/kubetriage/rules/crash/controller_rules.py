"""Rules about what a controller says itself, because it has no pod or has given up."""

from __future__ import annotations

from types import ModuleType

from kubetriage.rules.crash.causes import (
    admission_denied,
    controller_reports_failure,
    job_backoff_limit_exceeded,
    job_deadline_exceeded,
    limit_range_violation,
    manifest_invalid,
    quota_exceeded,
    service_account_not_found,
)

CONTROLLER_RULES: tuple[ModuleType, ...] = (
    # No pod at all: who refuses to create it.
    service_account_not_found,
    quota_exceeded,
    limit_range_violation,
    manifest_invalid,
    admission_denied,
    # Given up.
    job_backoff_limit_exceeded,
    job_deadline_exceeded,
    # What the controller of a custom resource says, where nothing below it says more.
    controller_reports_failure,
)
"""Causes that a controller reports itself, because it has no pod or has given up."""
