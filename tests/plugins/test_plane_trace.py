"""plane-trace on the recorded control planes."""

import pytest

from support.offline import diagnosis, truths


@pytest.mark.parametrize("truth", truths("plane-trace"), ids=lambda t: t.scenario)
def test_capture_names_its_cause(truth):
    got = diagnosis("plane-trace", capture=truth.scenario)
    assert got.cause in truth.causes
    assert got.healthy == ("Healthy" in truth.causes)


def states(name):
    return {link["link"]: link["state"] for link in diagnosis("plane-trace", capture=name).extra["links"]}


def test_disk_stall_is_drawn_from_disk_to_controllers():
    got = diagnosis("plane-trace", capture="cp-etcd-disk-stall")
    broken = [link["link"] for link in got.extra["links"] if link["state"] == "broken"]
    assert broken == ["etcd disk", "etcd quorum and leader", "API server health", "controller-manager", "scheduler"]
    follows = {link["link"]: link.get("consequenceOf") for link in got.extra["links"]}
    assert follows["etcd disk"] is None
    assert {follows[name] for name in broken[1:]} == {"EtcdSlowDisk"}
    assert got.cause == "EtcdSlowDisk"
    assert all(f.fix == () for f in got.findings[1:])
    drawn = got.lead[0].lines
    assert [line.split(":")[0].strip("✗└▶ ") for line in drawn] == [*broken, "kubelets' contact"]


def test_healthy_plane_is_clean():
    got = diagnosis("plane-trace", capture="cp-healthy")
    assert got.findings == ()
    assert set(states("cp-healthy").values()) == {"ok"}


def test_controllers_down_are_a_cause_of_their_own():
    got = diagnosis("plane-trace", capture="cp-controllers-down")
    assert [f.cause for f in got.findings] == ["ControllersDown", "SchedulerDown"]
    assert not any("consequenceOf" in f.details for f in got.findings)
    assert got.findings[0].details["since"] == "2026-11-23T23:19:32Z"
    assert states("cp-controllers-down")["etcd disk"] == "ok"
    # The disk trouble that is over stays visible to those who arrive late.
    assert any("slow fdatasync" in f["what"] for f in got.extra["timeline"])


def test_timeline_is_in_order():
    for truth in truths("plane-trace"):
        times = [f["time"] for f in diagnosis("plane-trace", capture=truth.scenario).extra["timeline"]]
        assert times == sorted(times)
        assert len(times) > 5
