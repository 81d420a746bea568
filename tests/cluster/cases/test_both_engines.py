"""What is the same on each engine, or without one."""

import pytest
from case_tools import Case


@pytest.mark.case("both/processes")
def test_flows_and_tasks_start_processes_with_functions_of_the_flows_file(case: Case) -> None:
    case.all_complete(180)


@pytest.mark.case("both/memory_from_limitrange")
def test_workers_plan_with_the_memory_that_a_limitrange_gives_them(case: Case) -> None:
    case.all_complete()


@pytest.mark.case("both/parameters")
def test_parameters_arrive_as_they_were_written(case: Case) -> None:
    case.all_complete()
