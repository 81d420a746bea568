"""The CRDs: structural as the API server wants them, by the API conventions, and the committed files are current."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flowrun_api.kinds import crd
from flowrun_api.kinds.flowrun import FlowRunSpec

CRDS = Path(__file__).parents[3] / "charts" / "flowrun-operator" / "files" / "crds"
BOTH = {"flowruns": crd.flowrun_crd(), "taskclusters": crd.taskcluster_crd()}
ALLOWED = {
    "type", "format", "properties", "required", "items", "additionalProperties", "description", "default", "enum",
    "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties",
}  # fmt: skip


def schema_of(plural: str) -> dict:
    return BOTH[plural]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(node: dict, path: str = "") -> Iterator[tuple[str, dict]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}[]")


ALL_NODES = [pytest.param(n, id=f"{plural}{path}") for plural in BOTH for path, n in nodes(schema_of(plural))]


@pytest.mark.parametrize("node", ALL_NODES)
def test_the_schema_is_structural(node):
    extensions = {key for key in node if key.startswith("x-kubernetes-")}
    assert not node.keys() - ALLOWED - extensions
    assert node.get("type") or node.get("x-kubernetes-int-or-string")
    if node.get("type") == "array":
        assert "items" in node
    if node.get("type") == "integer":
        assert node["format"] in {"int32", "int64"}
    assert node.get("type") != "number", "no floats in an API"


@pytest.mark.parametrize("plural", BOTH)
def test_every_field_is_described(plural):
    described = [path for path, node in nodes(schema_of(plural)) if "description" in node]
    fields = [path for path, _ in nodes(schema_of(plural)) if path and not path.endswith("[]")]
    assert sorted(set(fields) - set(described)) == [".metadata"], "of which the API server lets nothing be said"


def test_short_names_are_nobody_elses():
    names = {plural: crd["spec"]["names"]["shortNames"] for plural, crd in BOTH.items()}
    # `tc` is TiDB's TidbCluster.
    assert names == {"flowruns": ["frun"], "taskclusters": ["tclu"]}


@pytest.mark.parametrize("plural", BOTH)
def test_conditions_are_a_map_by_type_with_the_required_fields(plural):
    conditions = schema_of(plural)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert {"type", "status", "reason", "lastTransitionTime"} <= set(conditions["items"]["required"])


@pytest.mark.parametrize("plural", BOTH)
def test_lists_and_strings_of_the_spec_are_bounded(plural):
    unbounded = [
        path
        for path, node in nodes(schema_of(plural)["properties"]["spec"])
        if (node.get("type") == "array" and "maxItems" not in node)
        or (
            node.get("type") == "string"
            and not node.keys() & {"maxLength", "enum"}
            and not path.endswith("[]")  # values of maps
        )
    ]
    assert unbounded == []


@pytest.mark.parametrize("plural", BOTH)
def test_the_status_is_a_subresource(plural):
    assert "status" in BOTH[plural]["spec"]["versions"][0]["subresources"]


def test_a_task_cluster_can_be_scaled():
    scale = BOTH["taskclusters"]["spec"]["versions"][0]["subresources"]["scale"]
    properties = schema_of("taskclusters")["properties"]
    for path in scale.values():
        node = {"properties": properties}
        for part in path.strip(".").split("."):
            node = node["properties"][part]


def test_a_run_is_immutable_but_for_what_may_change():
    rules = {rule["fieldPath"] for rule in schema_of("flowruns")["properties"]["spec"]["x-kubernetes-validations"]}
    fields = {f".{field.alias}" for field in FlowRunSpec.model_fields.values()}
    assert fields - rules == {".suspend", ".ttlSecondsAfterFinished"}
    cancel = [
        rule
        for rule in schema_of("flowruns")["properties"]["spec"]["x-kubernetes-validations"]
        if rule["fieldPath"] == ".cancel"
    ]
    assert cancel[0]["rule"] == "!oldSelf.cancel || self.cancel"


@pytest.mark.parametrize(("plural", "longest"), [("flowruns", 40), ("taskclusters", 63)])
def test_names_are_bounded_by_a_rule(plural, longest):
    rules = [rule["rule"] for rule in schema_of(plural)["x-kubernetes-validations"]]
    assert f"size(self.metadata.name) <= {longest}" in rules


def test_a_clusters_number_of_workers_is_fixed_or_bounded():
    workers = schema_of("flowruns")["properties"]["spec"]["properties"]["clusters"]["items"]["properties"]["workers"]
    assert "default" not in workers["properties"]["replicas"], "a default would stand beside the bounds"
    messages = [rule["message"] for rule in workers["x-kubernetes-validations"]]
    assert len([message for message in messages if "eplicas" in message]) == 3


def test_nobody_scales_beyond_the_bound():
    workers = schema_of("taskclusters")["properties"]["spec"]["properties"]["workers"]
    (rule,) = [each for each in workers["x-kubernetes-validations"] if each["fieldPath"] == ".replicas"]
    assert rule["rule"] == "!has(self.maxReplicas) || self.replicas <= self.maxReplicas"


def test_printer_columns_point_at_fields_that_exist():
    for plural, definition in BOTH.items():
        known = {path.replace("[]", "[*]") for path, _ in nodes(schema_of(plural))}
        for column in definition["spec"]["versions"][0]["additionalPrinterColumns"]:
            path = column["jsonPath"]
            if "?(" not in path and not path.startswith(".metadata"):
                assert path in known, path


@pytest.mark.parametrize("plural", BOTH)
def test_the_committed_file_is_the_generated_one(plural, tmp_path):
    crd.main(tmp_path)
    generated = (tmp_path / f"{plural}.yaml").read_text()
    assert (CRDS / f"{plural}.yaml").read_text() == generated, "stale: run `make generate`"
    assert yaml.safe_load(generated) == BOTH[plural]


@pytest.mark.parametrize("plural", BOTH)
def test_the_file_fits_into_an_annotation_of_kubectl_apply(plural):
    assert (CRDS / f"{plural}.yaml").stat().st_size < 256 * 1024


def spec_of(*path: str) -> dict:
    node = schema_of("flowruns")["properties"]["spec"]
    for name in path:
        node = node["properties"][name]
    return node


# name, path, bounds: what is beyond them is refused at `kubectl apply`, by a message that names field and bound
BOUNDS = [
    ("a deadline is positive", ("activeDeadlineSeconds",), (1, None)),
    ("a start-up deadline is positive", ("startupDeadlineSeconds",), (1, None)),
    ("a TTL is not negative", ("ttlSecondsAfterFinished",), (0, None)),
    ("retries are bounded", ("retryPolicy", "maxInfrastructureRetries"), (0, 100)),
    ("a time to keep pods is bounded", ("deletionPolicy", "keepSeconds"), (1, 604800)),
]


@pytest.mark.parametrize(("path", "bounds"), [row[1:] for row in BOUNDS], ids=[row[0] for row in BOUNDS])
def test_bad_numbers_are_refused_by_the_schema(path, bounds):
    node = spec_of(*path)
    assert (node["minimum"], node.get("maximum"), node["type"]) == (*bounds, "integer")


def test_keep_seconds_without_keep_on_failure_is_refused_with_a_message():
    (rule,) = spec_of("deletionPolicy")["x-kubernetes-validations"]
    assert rule["message"] == "keepSeconds has a meaning only with type KeepOnFailure"
    assert "default" not in spec_of("deletionPolicy", "keepSeconds"), "or it would be set with every type"
