"""why-crash on dumps that leave out whole kinds of objects."""

import json
import shutil
from pathlib import Path

from kubetriage.cli.collect import collect
from kubetriage.cluster.recorded import RecordedReader
from kubetriage.plugins import Answer, Request, Target, load
from support.offline import CAPTURES, answer

PLUGIN = load("why-crash")


def ask(path: Path, *targets: Target, **request: object) -> Answer:
    return collect(PLUGIN, Request(targets=targets, options={"max_logs": 50}, **request), RecordedReader(path))[1]


def without(scenario: str, resource: str, root: Path) -> Path:
    """Copy what ``kubectl cluster-info dump`` would hold of a capture: no marks of a capture, and no such resource."""
    copy = root / scenario
    shutil.copytree(
        CAPTURES / scenario, copy, ignore=shutil.ignore_patterns(f"{resource}.json", "truth.json", "captured-at")
    )
    return copy


def test_pods_of_a_job_that_the_dump_leaves_out_are_found_by_their_owner(tmp_path):
    dump = without("job-backoff", "jobs", tmp_path)
    got = ask(dump, Target("jobs", "report"), namespace="job-backoff")
    assert not got.errors
    assert {(d.target.kind, d.cause) for d in got.diagnoses} == {("Pod", "AppError")}
    assert any(n.what.startswith("jobs/report") for n in got.diagnoses[0].not_seen)


def test_a_name_that_no_pod_knows_either_is_not_found(tmp_path):
    got = ask(without("job-backoff", "jobs", tmp_path), Target("jobs", "reports"), namespace="job-backoff")
    assert not got.diagnoses
    assert got.errors[0].startswith('Error from server (NotFound): jobs.batch "reports" not found')


def test_a_job_that_is_not_among_the_dumps_jobs_is_not_found(tmp_path):
    copy = tmp_path / "dump"
    shutil.copytree(CAPTURES / "job-backoff", copy)
    jobs = copy / "job-backoff" / "jobs.json"
    listed = json.loads(jobs.read_text())
    jobs.write_text(json.dumps({**listed, "items": []}))
    got = ask(copy, Target("jobs", "report"), namespace="job-backoff")
    assert not got.diagnoses
    assert "not found" in got.errors[0]


def test_a_scan_without_a_list_of_pods_still_tells_of_controllers(tmp_path):
    flat = tmp_path / "objects"
    flat.mkdir()
    for file in (CAPTURES / "quota-blocked" / "quota-blocked").glob("*.json"):
        if file.name != "pods.json":
            shutil.copy(file, flat)
    got = ask(flat, namespace="", all_namespaces=True)
    assert [(d.target.kind, d.cause) for d in got.diagnoses] == [("Deployment", "QuotaExceeded")]
    assert "not in the dump" in got.errors[0]


def test_the_path_by_hand_of_a_controller_quotes_what_each_command_shows():
    (told,) = answer("why-crash", "deploy/api", capture="quota-blocked").diagnoses
    commands = [row[0] for row in told.manual]
    assert commands[0] == "kubectl -n quota-blocked get deployment api"
    assert commands[1].startswith("kubectl -n quota-blocked describe replicaset api-")
    assert "exceeded quota: q" in told.manual[1][1]
    assert commands[2] == "kubectl -n quota-blocked describe resourcequota q"
    assert told.manual[-1][2].endswith("together: QuotaExceeded")


def test_a_quota_that_one_pod_alone_exceeds_is_not_helped_by_removing_pods():
    (told,) = answer("why-crash", "deploy/api", capture="quota-blocked").diagnoses
    assert told.findings[0].fix[0].text.startswith("Have quota q raised to at least pods 1")


def test_a_pod_within_its_grace_period_is_on_its_way_out_and_not_healthy(tmp_path):
    copy = tmp_path / "dump"
    shutil.copytree(CAPTURES / "healthy", copy)
    pods = next(copy.rglob("pods.json"))
    listed = json.loads(pods.read_text())
    now = (copy / "captured-at").read_text().strip()
    for pod in listed["items"]:
        pod["metadata"].update({"deletionTimestamp": now, "deletionGracePeriodSeconds": 30, "finalizers": ["a/b"]})
    pods.write_text(json.dumps(listed))
    name = listed["items"][0]["metadata"]["name"]
    got = ask(copy, Target("pods", name), namespace=listed["items"][0]["metadata"]["namespace"])
    assert not got.diagnoses[0].findings
    assert got.diagnoses[0].summary.startswith(f"The pod is being deleted, and may take until {now}")
