"""What an attempt has for itself: Secrets, and the right to scale its own clusters and nothing else."""

from dataclasses import replace
from itertools import chain

import pytest
from operator_testing.builders import DASK_CLUSTER, DEFAULTS, NAMESPACE, RUN_UID, a_run

from flowrun_operator.children import belonging_names, belongings, driver_job

RAY = {"name": "gpu", "engine": "Ray"}
ON_DEMAND = {**DASK_CLUSTER, "name": "later", "activation": "OnDemand"}
ELASTIC = {**DASK_CLUSTER, "name": "wide", "workers": {"minReplicas": 1, "maxReplicas": 4}}


def own(spec: dict, attempt: int = 1, defaults=DEFAULTS) -> dict[str, dict]:
    return {m["kind"]: m for stage in belongings(a_run(spec), attempt, defaults) for m in stage}


def pod_of(spec: dict) -> dict:
    return driver_job(a_run(spec), 1, DEFAULTS)["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("clusters", "kinds"),
    [
        ([], []),
        ([DASK_CLUSTER], []),
        ([RAY], ["Secret"]),
        ([ON_DEMAND], ["ServiceAccount", "Role", "RoleBinding"]),
        ([ELASTIC], ["ServiceAccount", "Role", "RoleBinding"]),
        ([RAY, ELASTIC], ["Secret", "ServiceAccount", "Role", "RoleBinding"]),
    ],
)
def test_only_what_is_needed_is_made(clusters, kinds):
    assert list(own({"clusters": clusters})) == kinds


def test_all_of_it_goes_with_the_run_and_carries_its_uid():
    defaults = replace(DEFAULTS, prefect_api_key_set=True)
    for manifest in chain(*belongings(a_run({"clusters": [RAY, ON_DEMAND]}), 2, defaults)):
        metadata = manifest["metadata"]
        assert metadata["ownerReferences"][0]["uid"] == RUN_UID
        assert metadata["labels"]["flowrun.dev/run"] == "etl"
        assert (metadata["namespace"], metadata["name"].startswith("etl-2-")) == (NAMESPACE, True)
        # The one of a deleted run of the same name may still be there.
        assert metadata["name"].endswith(RUN_UID[:8])


def test_no_two_of_them_share_a_name():
    # Refused creates are remembered by name.
    defaults = replace(DEFAULTS, prefect_api_key_set=True)
    names = [name for _, name in belonging_names(a_run({"clusters": [RAY, ON_DEMAND]}), 1, defaults)]
    assert len(names) == len(set(names)) == 5


def test_the_driver_may_scale_its_own_clusters_and_nothing_else():
    role = own({"clusters": [DASK_CLUSTER, ON_DEMAND, ELASTIC]}, attempt=3)["Role"]
    names = ["etl-3-later", "etl-3-wide"]
    assert role["rules"] == [
        {"apiGroups": ["flowrun.dev"], "resources": ["taskclusters"], "resourceNames": names, "verbs": ["get"]},
        {
            "apiGroups": ["flowrun.dev"],
            "resources": ["taskclusters/scale"],
            "resourceNames": names,
            "verbs": ["get", "patch"],
        },
    ]


def test_the_binding_is_for_the_drivers_account_which_mounts_its_token_only_there():
    spec = {"clusters": [ON_DEMAND]}
    made = own(spec)
    account = made["ServiceAccount"]
    assert account["automountServiceAccountToken"] is False
    assert made["RoleBinding"]["roleRef"]["name"] == made["Role"]["metadata"]["name"]
    (subject,) = made["RoleBinding"]["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], NAMESPACE)
    assert pod_of(spec)["serviceAccountName"] == account["metadata"]["name"]
    assert pod_of(spec)["automountServiceAccountToken"] is True


@pytest.mark.parametrize(
    "driver",
    [{"serviceAccountName": "mine"}, {"podTemplate": {"spec": {"serviceAccountName": "mine"}}}],
    ids=["named", "in the pod template"],
)
def test_an_account_that_the_user_names_gets_the_right(driver):
    spec = {"clusters": [ON_DEMAND], "driver": driver}
    assert list(own(spec)) == ["Role", "RoleBinding"]
    assert own(spec)["RoleBinding"]["subjects"][0]["name"] == "mine"
    assert pod_of(spec)["serviceAccountName"] == "mine"
    assert pod_of(spec)["automountServiceAccountToken"] is True


@pytest.mark.parametrize("clusters", [[], [DASK_CLUSTER], [RAY]])
def test_all_other_drivers_get_no_token_at_all(clusters):
    pod = pod_of({"clusters": clusters, "driver": {"serviceAccountName": "mine"}})
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("template", [{"spec": None}, {"spec": "x"}, {"spec": {"serviceAccountName": 7}}])
def test_F30_a_malformed_pod_template_does_not_stop_the_decision(template):
    assert "ServiceAccount" in own({"clusters": [ON_DEMAND], "driver": {"podTemplate": template}})


def test_I5_no_plan_holds_a_secret():
    made = own({"clusters": [RAY]})["Secret"]
    assert made["stringData"] == {"token": ""}
