import pytest

from flowrun_api.kinds.common import WorkerOptions
from flowrun_operator.engines.offers import offered

TABLE = [
    # name, limits, what a worker offers
    ("nothing", {}, {}),
    ("CPU and memory are no devices", {"cpu": 2, "memory": "1Gi", "hugepages-2Mi": "4Mi"}, {}),
    ("NVIDIA", {"nvidia.com/gpu": 2}, {"GPU": 2}),
    ("a quantity in words", {"nvidia.com/gpu": "2"}, {"GPU": 2}),
    ("AMD", {"amd.com/gpu": 1}, {"GPU": 1}),
    ("Intel", {"gpu.intel.com/i915": 1}, {"GPU": 1}),
    ("Intel, newer driver", {"gpu.intel.com/xe": 3}, {"GPU": 3}),
    ("Google", {"google.com/tpu": 4}, {"TPU": 4}),
    ("AWS, cores", {"aws.amazon.com/neuroncore": 2}, {"neuron_cores": 2}),
    ("AWS, devices of some cores each", {"aws.amazon.com/neuron": 1}, {"aws.amazon.com/neuron": 1}),
    ("Habana", {"habana.ai/gaudi": 8}, {"HPU": 8}),
    ("Huawei", {"huawei.com/Ascend910": 1}, {"NPU": 1}),
    ("Huawei, a part", {"huawei.com/Ascend310P-4c.3cpu": 1}, {"NPU": 1}),
    ("a part of a GPU", {"nvidia.com/mig-1g.5gb": 2}, {"GPU": 2, "nvidia.com/mig-1g.5gb": 2}),
    (
        "parts of two sizes",
        {"nvidia.com/mig-1g.5gb": 1, "nvidia.com/mig-3g.20gb": 1},
        {"GPU": 2, "nvidia.com/mig-1g.5gb": 1, "nvidia.com/mig-3g.20gb": 1},
    ),
    ("a shared GPU", {"nvidia.com/gpu.shared": 1}, {"GPU": 1, "nvidia.com/gpu.shared": 1}),
    ("a device of no kind that we know", {"example.com/fpga": 1}, {"example.com/fpga": 1}),
    ("what the API server will refuse", {"nvidia.com/gpu": "lots", "amd.com/gpu": -1}, {}),
]


@pytest.mark.parametrize(("limits", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_worker_offers_its_devices_by_the_names_that_ray_has_for_them(limits, expected):
    assert offered(WorkerOptions.model_validate({"resources": {"limits": limits}})) == expected


def test_a_limit_of_the_pod_template_counts_as_well():
    template = {"spec": {"containers": [{"name": "flowrun", "resources": {"limits": {"amd.com/gpu": 1}}}]}}
    assert offered(WorkerOptions(pod_template=template)) == {"GPU": 1}


@pytest.mark.parametrize("spec", [None, {"containers": None}, {"containers": [None, {"name": "flowrun"}]}])
def test_F30_a_malformed_pod_template_offers_nothing(spec):
    assert offered(WorkerOptions(pod_template={"spec": spec})) == {}


def test_custom_resources_are_offered_and_go_before_devices():
    options = {"resources": {"limits": {"nvidia.com/gpu": 1}}, "customResources": {"db": 3, "GPU": 4}}
    assert offered(WorkerOptions.model_validate(options)) == {"GPU": 4, "db": 3}
