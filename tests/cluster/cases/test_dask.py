"""What flows written for prefect-dask may do."""

import pytest
from case_tools import Case


@pytest.mark.case("dask/client_in_flow")
def test_the_runners_client_serves_the_flow_its_threads_and_tasks(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("dask/annotated_resources")
def test_annotated_tasks_wait_for_the_resource_that_they_name(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("dask/imports_in_tasks")
def test_tasks_import_and_read_what_lies_beside_the_flow(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("dask/allowed_failures")
def test_failures_are_allowed_in_each_form_of_wait_for(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("dask/threads_of_the_flow")
def test_threads_of_the_flow_submit_at_once_and_threads_of_tasks_log_to_their_task(case: Case) -> None:
    case.all_complete()
