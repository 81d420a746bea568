from operator_testing.builders import NOW, a_run, a_view, an_attempt

from flowrun_operator.decide import decide_run
from flowrun_operator.decide.managed_by import managed_by
from flowrun_operator.decide.plan import Ignore, Plan

FOREIGN = {"managedBy": "kueue.x-k8s.io/multikueue"}


def test_a_run_of_ours_has_no_opinion():
    assert managed_by(a_view(), NOW) is None


def test_a_run_of_another_controller_is_left_alone():
    view = a_view(an_attempt(), run=a_run({**FOREIGN, "cancel": True}))
    assert managed_by(view, NOW) == Ignore()
    assert decide_run(view, NOW) == Plan()
