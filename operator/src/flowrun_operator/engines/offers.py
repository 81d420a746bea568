"""What a worker offers to tasks beside threads and memory: accelerators by the names that Ray gives them, and others.

The same for every engine, so that `needs(resources={"GPU": 1})` means the same on each.
"""

from __future__ import annotations

import re

from flowrun_api.kinds.common import WorkerOptions
from flowrun_operator.build.quantities import value
from flowrun_operator.build.template import effective_resources

# Kubernetes' name of a device, and Ray's (`ray._private.accelerators`). A slice of an NVIDIA GPU (MIG) and a shared one
# count as one each, as CUDA sees them.
_DEVICES = [
    (re.compile(r"nvidia\.com/(gpu|gpu\.shared|mig-.+)"), "GPU"),
    (re.compile(r"amd\.com/(gpu|[sdqc]px_nps\d)"), "GPU"),
    (re.compile(r"gpu\.intel\.com/(i915|xe)"), "GPU"),
    (re.compile(r"metax-tech\.com/gpu"), "GPU"),
    (re.compile(r"google\.com/tpu"), "TPU"),
    (re.compile(r"aws\.amazon\.com/neuroncore"), "neuron_cores"),
    (re.compile(r"habana\.ai/gaudi"), "HPU"),
    (re.compile(r"huawei\.com/(npu|Ascend\d+\w*(-\dc[\w.]*)?)"), "NPU"),
    (re.compile(r"rebellions\.ai/ATOM"), "RBLN"),
    (re.compile(r"furiosa\.ai/\w+"), "FURIOSA"),
]
_NVIDIA_PARTS = re.compile(r"nvidia\.com/(gpu\.shared|mig-.+)")


def offered(workers: WorkerOptions) -> dict[str, int]:
    """Return what each worker offers, by name.

    Devices are offered by the name of their kind (GPU, TPU, ...); what is of no kind that we know, and parts of a GPU,
    by the name that Kubernetes has for it. `customResources` go before both.

    Args:
        workers: of the cluster.
    """
    offers: dict[str, int] = {}
    resources = effective_resources(workers)
    for name, quantity in ((resources and resources.limits) or {}).items():
        amount = int(value(quantity) or 0)
        # Names with a domain are those of devices: cpu, memory and hugepages have none.
        if amount <= 0 or "/" not in name:
            continue
        kind = next((kind for pattern, kind in _DEVICES if pattern.fullmatch(name)), None)
        if kind is not None:
            offers[kind] = offers.get(kind, 0) + amount
        if kind is None or _NVIDIA_PARTS.fullmatch(name):
            offers[name] = amount
    return {**offers, **(workers.custom_resources or {})}
