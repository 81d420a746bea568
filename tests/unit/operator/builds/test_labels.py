from operator_testing.builders import a_cluster

from flowrun_operator.build.labels import cluster_labels, labels, owner, selector

COMMON = {"name", "instance", "component", "part-of", "managed-by"}


def test_labels_are_complete():
    result = labels("etl", 2, role="worker", cluster="gpu")
    assert {f"app.kubernetes.io/{key}" for key in COMMON} <= result.keys()
    assert {k: v for k, v in result.items() if k.startswith("flowrun.dev/")} == {
        "flowrun.dev/run": "etl",
        "flowrun.dev/attempt": "2",
        "flowrun.dev/role": "worker",
        "flowrun.dev/cluster": "gpu",
    }


def test_the_component_is_told_by_the_role():
    key = "app.kubernetes.io/component"
    assert labels("etl", 1, role="driver")[key] == "driver"
    assert labels("etl", 1)[key] == "cluster"


def test_prefects_own_label_is_never_set():
    assert "prefect.io/flow-run-id" not in labels("etl", 1, role="driver", cluster="c")


def test_a_standalone_cluster_has_labels_of_its_own():
    # With a run's label a FlowRun of the same name would take its workers along.
    result = cluster_labels(a_cluster({"flowRun": None}), "worker")
    assert {k: v for k, v in result.items() if k.startswith("flowrun.dev/")} == {
        "flowrun.dev/taskcluster": "etl-1-default",
        "flowrun.dev/cluster": "etl-1-default",
        "flowrun.dev/role": "worker",
    }
    assert "flowrun.dev/taskcluster=etl-1-default" in selector(result)


def test_a_selector_names_what_tells_children_apart():
    text = selector(labels("etl", 1, role="worker"))
    assert text == (
        "app.kubernetes.io/managed-by=flowrun-operator,flowrun.dev/run=etl,flowrun.dev/attempt=1,flowrun.dev/role=worker"
    )


def test_owners_are_controllers_that_block_nothing():
    (reference,) = owner("Job", "etl-1", "u")
    assert (reference["apiVersion"], reference["controller"], reference["blockOwnerDeletion"]) == (
        "batch/v1",
        True,
        False,
    )
    assert owner("FlowRun", "etl", "u")[0]["apiVersion"] == "flowrun.dev/v1alpha1"
