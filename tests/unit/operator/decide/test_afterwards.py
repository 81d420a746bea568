import pytest
from operator_testing.builders import NOW, a_condition, a_run, a_view, an_attempt, ended_pod, finished_status, message

from flowrun_operator.decide import decide_run
from flowrun_operator.decide.afterwards import settled


def over(state: str = "Succeeded") -> dict:
    status = finished_status(60, state)
    status["conditions"].append(a_condition("DriverRunning", "False", "Finished"))
    return status


# name, spec that was set after the end, state, part of the message
TABLE = [
    ("cancelled too late", {"cancel": True}, "Succeeded", "no effect of spec.cancel"),
    ("cancelled after a failure", {"cancel": True}, "Failed", "no effect of spec.cancel"),
    ("suspended too late", {"suspend": True}, "Succeeded", "no effect of spec.suspend"),
    ("both", {"cancel": True, "suspend": True}, "Failed", "spec.cancel and spec.suspend"),
    ("cancelled in time", {"cancel": True}, "Cancelled", ""),
]


@pytest.mark.parametrize(("spec", "state", "part"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_F24_a_user_who_comes_too_late_is_told_so(spec, state, part):
    run = a_run(spec, over(state), generation=2)
    status = decide_run(a_view(run=run), NOW).status
    assert status.observed_generation == 2
    assert part in status.conditions[1].message
    assert bool(status.conditions[1].message) is bool(part)
    assert status.conditions[0] == run.status.conditions[0], "the result is never touched"
    assert (status.state, status.completion_time) == (state, run.status.completion_time)
    again = run.model_copy(update={"status": status})
    assert settled(a_view(run=again), NOW) is None, "written once"


def test_a_finished_run_whose_spec_does_not_change_is_not_written_again():
    assert settled(a_view(run=a_run(status=over())), NOW) is None


def test_F24_a_run_whose_result_came_just_before_the_cancellation_says_so_at_once():
    view = a_view(an_attempt(driver=ended_pod(message())), run=a_run({"cancel": True}))
    status = decide_run(view, NOW).status
    assert status.state == "Succeeded"
    assert "no effect of spec.cancel" in status.conditions[1].message
