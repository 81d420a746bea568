from typing import Any

import pytest

from flowrun_api.kinds.common import PodOptions
from flowrun_operator.build.pod import PodParts, pod_template

SHM = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "100"}}
MEMORY = {"medium": "Memory", "sizeLimit": "1Gi"}
DISK = {"persistentVolumeClaim": {"claimName": "disk"}}


def pod(options: dict[str, Any]) -> tuple[dict[str, dict], dict[str, str]]:
    """Return the pod's volumes by name and, by path, what its main container mounts; both have no duplicates."""
    parts = PodParts(
        command=["run"],
        env=[],
        image="i",
        labels={},
        grace_s=1,
        volumes=[SHM],
        mounts=[{"name": "shm", "mountPath": "/dev/shm"}],
    )
    spec = pod_template(parts, PodOptions.model_validate(options))["spec"]
    (main,) = [each for each in spec["containers"] if each["name"] == "flowrun"]
    volumes = {each["name"]: {key: each[key] for key in each if key != "name"} for each in spec["volumes"]}
    mounts = {each["mountPath"].rstrip("/"): each["name"] for each in main["volumeMounts"]}
    assert (len(volumes), len(mounts)) == (len(spec["volumes"]), len(main["volumeMounts"])), "duplicates are refused"
    assert set(mounts.values()) <= set(volumes)
    return volumes, mounts


def fields(volumes: list[dict], mounts: dict[str, str]) -> dict[str, Any]:
    return {"volumes": volumes, "volumeMounts": [{"name": n, "mountPath": p} for p, n in mounts.items()]}


def template(volumes: list[dict], mounts: dict[str, str]) -> dict[str, Any]:
    given = fields(volumes, mounts)
    main = {"name": "flowrun", "volumeMounts": given["volumeMounts"]}
    return {"podTemplate": {"spec": {"volumes": volumes, "containers": [main]}}}


BOTH_WAYS = pytest.mark.parametrize("say", [fields, template])


def test_ours_stand_where_the_user_says_nothing():
    volumes, mounts = pod({})
    assert mounts == {"/tmp": "tmp", "/dev/shm": "shm"}
    assert volumes == {"tmp": {"emptyDir": {}}, "shm": {"emptyDir": SHM["emptyDir"]}}


@BOTH_WAYS
@pytest.mark.parametrize("path", ["/dev/shm", "/dev/shm/", "/tmp", "/tmp/"])
def test_a_mount_of_the_users_at_our_path_wins_and_our_volume_goes(say, path):
    volumes, mounts = pod(say([{"name": "mine", "emptyDir": MEMORY}], {path: "mine"}))
    assert mounts[path.rstrip("/")] == "mine"
    assert set(volumes) == {"mine", "tmp", "shm"} - {"tmp" if "tmp" in path else "shm"}


@BOTH_WAYS
@pytest.mark.parametrize(("name", "path"), [("shm", "/dev/shm"), ("tmp", "/tmp")])
def test_the_users_may_have_our_name_too(say, name, path):
    volumes, mounts = pod(say([{"name": name, **DISK}], {path: name}))
    assert mounts[path] == name
    assert volumes[name] == DISK
    assert f"flowrun-{name}" not in volumes


@BOTH_WAYS
@pytest.mark.parametrize(("name", "path"), [("shm", "/dev/shm"), ("tmp", "/tmp")])
def test_a_volume_of_our_name_for_another_purpose_stands_beside_ours(say, name, path):
    volumes, mounts = pod(say([{"name": name, **DISK}], {"/data": name}))
    assert mounts["/data"] == name
    assert mounts[path] == f"flowrun-{name}"
    assert volumes[name] == DISK
    assert "emptyDir" in volumes[f"flowrun-{name}"]


@BOTH_WAYS
def test_a_volume_of_our_name_that_nobody_mounts_is_meant_to_be_ours(say):
    volumes, mounts = pod(say([{"name": "tmp", **DISK}, {"name": "shm", "emptyDir": {"sizeLimit": "1Gi"}}], {}))
    assert mounts == {"/tmp": "tmp", "/dev/shm": "shm"}
    assert volumes["tmp"] == DISK
    assert volumes["shm"] == {"emptyDir": MEMORY}, "still in memory"


def test_a_sidecar_may_mount_what_is_ours():
    sidecar = {"name": "copy", "volumeMounts": [{"name": "tmp", "mountPath": "/work"}]}
    options = fields([{"name": "mine", **DISK}], {"/tmp": "mine"})
    volumes, _ = pod({**options, "podTemplate": {"spec": {"containers": [sidecar]}}})
    assert volumes["tmp"] == {"emptyDir": {}}


def test_a_mount_in_both_places_stands_once():
    mine = fields([{"name": "mine", "emptyDir": MEMORY}], {"/dev/shm": "mine"})
    volumes, mounts = pod({**mine, **template([{"name": "other", **DISK}], {"/dev/shm": "other"})})
    assert mounts["/dev/shm"] == "other", "the template is laid over all else"
    assert volumes["other"] == DISK


@pytest.mark.parametrize(
    "spec", [None, [], {"volumes": None, "containers": "x"}, {"volumes": [None], "containers": [1]}]
)
def test_F30_a_malformed_pod_template_is_left_to_the_API_server(spec):
    parts = PodParts(command=[], env=[], image="i", labels={}, grace_s=1)
    pod_template(parts, PodOptions(pod_template={"spec": spec}))
