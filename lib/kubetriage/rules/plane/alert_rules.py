"""Prometheus rules for exactly the thresholds that plane-trace judges by: in come the limits, out go the rules.

Metric names are those of etcd 3.4 to 3.6 and of the API server of 1.26 and later; the labels of a job differ between
set-ups, so none is used.
"""

from __future__ import annotations

from kubetriage.rules.plane.thresholds import FRAGMENTED_BYTES, Limits
from kubetriage.typed import Any

NAME = "kubetriage-plane-trace"


def _rule(name: str, code: str, expr: str, wait: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": wait,
        "labels": {"severity": severity, "cause": code},
        "annotations": {"summary": summary, "runbook": "kubectl plane-trace"},
    }


def _mean(metric: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate({metric}_sum[5m])) / sum by ({by}) (rate({metric}_count[5m]))"


def rules(limits: Limits) -> list[dict[str, Any]]:
    """Return the rules, in the order of the chain."""
    fsync, commit = "etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds"
    trip, request = "etcd_network_peer_round_trip_time_seconds", "etcd_request_duration_seconds"
    size, quota = "etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes"
    used = "etcd_mvcc_db_total_size_in_use_in_bytes"
    hook = "apiserver_admission_webhook_admission_duration_seconds"
    near = "apiserver_client_certificate_expiration_seconds_bucket"
    written = 'apiserver_request_total{resource="leases",verb="PUT",code="200"}'
    return [
        _rule("EtcdDiskBelowTarget", "EtcdSlowDisk", f"{_mean(fsync)} > {limits.fsync_target:g}", "10m", "warning",
              "A WAL fsync of etcd takes longer than etcd wants."),
        _rule("EtcdDiskSlow", "EtcdSlowDisk", f"{_mean(fsync)} > {limits.fsync_alert:g}", "5m", "critical",
              "A WAL fsync of etcd is so slow that every write of the cluster waits."),
        _rule("EtcdCommitSlow", "EtcdSlowDisk", f"{_mean(commit)} > {limits.commit_alert:g}", "5m", "critical",
              "A backend commit of etcd is slow."),
        _rule("EtcdRequestsSlow", "EtcdSlowDisk", f"{_mean(request)} > {limits.etcd_request:g}", "10m", "warning",
              "The API server waits long for etcd."),
        _rule("EtcdNoLeader", "EtcdQuorumLost", "etcd_server_has_leader == 0", "1m", "critical",
              "A member of etcd sees no leader."),
        _rule("EtcdLeaderFlapping", "EtcdLeaderFlapping",
              f"increase(etcd_server_leader_changes_seen_total[15m]) >= {limits.leader_changes:g}", "0m", "warning",
              "etcd changes its leader again and again."),
        _rule("EtcdPeersSlow", "EtcdSlowNetwork", f"{_mean(trip)} > {limits.peer_round_trip:g}", "10m", "warning",
              "Round trips between members of etcd are slow."),
        _rule("EtcdNearQuota", "EtcdNearQuota", f"{size} / {quota} > {limits.quota_warn:g}", "10m", "warning",
              "etcd's database comes near its quota."),
        _rule("EtcdAtQuota", "EtcdNearQuota", f"{size} / {quota} > {limits.quota_alert:g}", "5m", "critical",
              "etcd's database is about to refuse every write."),
        _rule("EtcdFragmented", "EtcdFragmented",
              f"{used} / {size} < {limits.fragmentation:g} and {used} > {FRAGMENTED_BYTES}", "10m", "warning",
              "Less than half of etcd's database is in use: defragment it."),
        _rule("WritesFrozen", "ApiServerUnready", f"sum(rate({written}[2m])) == 0", "1m", "critical",
              "No lease of the cluster is renewed: nobody can write."),
        _rule("ApiServerRejects", "ApiServerOverloaded",
              "sum by (priority_level, reason) (rate(apiserver_flowcontrol_rejected_requests_total[5m])) > 0", "5m",
              "warning", "API Priority and Fairness turns clients away."),
        _rule("WebhookFails", "WebhookBlocking",
              "increase(apiserver_admission_webhook_rejection_count"
              f'{{error_type="calling_webhook_error"}}[5m]) >= {limits.webhook_errors:g}', "1m", "critical",
              "Calls of an admission webhook fail, and the requests with them."),
        _rule("WebhookSlow", "WebhookBlocking", f"{_mean(hook, 'name')} > {limits.webhook_slow:g}", "10m", "warning",
              "An admission webhook delays every request that it takes."),
        _rule("ClientCertificateNearItsEnd", "CertificateExpiring",
              f'sum by (instance) (increase({near}{{le="{limits.certificate_warn:g}"}}[1h])) > 0', "0m", "warning",
              "A client of the API server uses a certificate of few days."),
        _rule("AggregatedApiDown", "APIServiceUnavailable", "aggregator_unavailable_apiservice == 1", "5m", "warning",
              "An aggregated API does not answer."),
    ]  # fmt: skip


def rule_file(limits: Limits) -> dict[str, Any]:
    """Return a plain file of rules, as Prometheus reads it."""
    return {"groups": [{"name": NAME, "rules": rules(limits)}]}


def prometheus_rule(limits: Limits) -> dict[str, Any]:
    """Return the same as an object of the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": NAME, "namespace": "monitoring", "labels": {"release": "kube-prometheus-stack"}},
        "spec": rule_file(limits),
    }
