from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

from prefect.events import Event

from prefect_flowrun.worker.composed_event import ComposedEvent


def _arguments(**changes):
    return {
        "id": uuid4(),
        "occurred": datetime.now(UTC),
        "event": "prefect.task-run.Completed",
        "resource": {"prefect.resource.id": "prefect.task-run.1", "prefect.orchestration": "client"},
        "related": [{"prefect.resource.id": "prefect.tag.a", "prefect.resource.role": "tag"}],
        "payload": {"task_run": {"name": "one-1", "start_time": "2026-11-26T00:00:00Z"}},
        **changes,
    }


def test_it_is_the_event_that_prefect_would_send():
    arguments = _arguments(follows=SimpleNamespace(id=uuid4(), occurred=datetime.now(UTC)))
    theirs = Event(**{**arguments, "follows": arguments["follows"].id})
    assert Event.model_validate_json(ComposedEvent(arguments).model_dump_json()) == theirs


def test_it_follows_nothing_that_is_long_ago():
    long_ago = SimpleNamespace(id=uuid4(), occurred=datetime.now(UTC) - timedelta(minutes=6))
    event = Event.model_validate_json(ComposedEvent(_arguments(follows=long_ago)).model_dump_json())
    assert event.follows is None


def test_it_keeps_the_tags_of_the_task_beside_what_its_flow_run_is_related_to():
    event = ComposedEvent(_arguments())
    flow_run = {"prefect.resource.id": "prefect.flow-run.2", "prefect.resource.role": "flow-run"}
    event.relate([flow_run])
    event.relate([flow_run])  # sent again
    related = Event.model_validate_json(event.model_dump_json()).related
    assert [each.role for each in related] == ["tag", "flow-run"]
