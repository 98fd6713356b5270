"""What runs on a foreign machine with a token: foreign code by commit, and no more rights than a job needs."""

import re

import pytest
import yaml

from support.offline import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_actions_are_pinned_and_rights_are_given_per_job(path):
    document = yaml.safe_load(path.read_text())
    assert document["permissions"] == {}
    for job in document["jobs"].values():
        assert job["permissions"]
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_only_the_release_writes_and_it_says_where_the_archive_comes_from():
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            writes = {right for right, level in job["permissions"].items() if level == "write"}
            assert not writes or path.stem == "release"
            if writes:
                assert any("attest-build-provenance" in step.get("uses", "") for step in job["steps"])
