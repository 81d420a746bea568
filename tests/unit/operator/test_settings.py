import pytest

from flowrun_api.kinds.common import Engine, Resources
from flowrun_operator.settings import Settings

PREFIX = "FLOWRUN_OPERATOR_"


@pytest.fixture
def environment(monkeypatch):
    def put(**values: str) -> Settings:
        for name, value in values.items():
            monkeypatch.setenv(PREFIX + name, value)
        return Settings()

    return put


def test_an_empty_environment_is_enough(environment):
    settings = environment()
    assert (settings.namespace_list, settings.log_format, settings.port) == ([], "json", 8080)
    assert settings.defaults().prefect_api_key_set is False


@pytest.mark.parametrize(("text", "namespaces"), [("", []), ("team", ["team"]), ("a, b,,c ", ["a", "b", "c"])])
def test_namespaces_are_a_comma_list(environment, text, namespaces):
    assert environment(NAMESPACES=text).namespace_list == namespaces


def test_resources_are_json(environment):
    settings = environment(DEFAULT_WORKER_RESOURCES='{"requests": {"cpu": "1", "memory": "1Gi"}}')
    assert settings.defaults().worker_resources.requests == {"cpu": "1", "memory": "1Gi"}


def test_numbers_are_read_as_helm_writes_them(environment):
    given = '{"limits":{"memory":2.147483648e+09},"requests":{"cpu":0.25,"memory":402653184}}'
    resources = environment(DEFAULT_DRIVER_RESOURCES=given).defaults().driver_resources
    assert resources == Resources(requests={"cpu": "0.25", "memory": 402653184}, limits={"memory": "2147483648"})


def test_what_a_coordinator_adds_is_told_by_engine(environment):
    defaults = environment(DEFAULT_RAY_COORDINATOR_RESOURCES='{"requests": {"cpu": "250m"}}').defaults()
    assert defaults.coordinator_resources == {Engine.RAY: Resources(requests={"cpu": "250m"})}


def test_an_empty_variable_counts_as_unset(environment):
    defaults = environment(PREFECT_API_URL="", DEFAULT_DRIVER_RESOURCES="", PREFECT_API_KEY="").defaults()
    assert (defaults.prefect_api_url, defaults.driver_resources, defaults.prefect_api_key_set) == (None, None, False)


def test_I5_the_key_is_neither_printed_nor_among_the_defaults(environment):
    settings = environment(PREFECT_API_KEY="hunter2", DEFAULT_IMAGE="i:1")
    assert "hunter2" not in repr(settings) + repr(settings.defaults())
    assert settings.prefect_api_key.get_secret_value() == "hunter2"
    assert settings.defaults().prefect_api_key_set is True


def test_without_settings_there_is_an_election_under_a_name_of_its_own(environment):
    first, second = environment().terms(), environment().terms()
    assert (first.name, first.duration_s, first.renew_deadline_s, first.retry_period_s) == (
        "flowrun-operator",
        15,
        10,
        2,
    )
    assert first.identity != second.identity


def test_the_lease_is_where_and_whose_it_is_told(environment):
    terms = environment(LEASE_NAME="data-operator", LEASE_NAMESPACE="data", IDENTITY="pod-1").terms()
    assert (terms.namespace, terms.name, terms.identity) == ("data", "data-operator", "pod-1")


@pytest.mark.parametrize(
    "terms",
    [{"LEASE_DURATION_S": "10"}, {"RENEW_DEADLINE_S": "15"}, {"RETRY_PERIOD_S": "5"}, {"RETRY_PERIOD_S": "0"}],
)
def test_F05_terms_that_do_not_keep_two_leaders_apart_are_refused(environment, terms):
    with pytest.raises(ValueError, match=r"renew_deadline_s|greater than 0"):
        environment(**terms)


@pytest.mark.parametrize(
    ("text", "read"), [("", None), ("{}", {}), ('{"runAsUser":1000,"runAsGroup":null}', {"runAsUser": 1000})]
)
def test_the_user_of_runs_may_be_set_or_left_out(environment, text, read):
    found = environment(DEFAULT_POD_SECURITY_CONTEXT=text).defaults().pod_security_context
    assert (None if found is None else found.to_api()) == read
