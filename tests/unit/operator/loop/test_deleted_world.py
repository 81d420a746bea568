"""FlowRuns that are deleted, in every state: nothing is left, and Prefect hears of the unfinished ones."""

import itertools

import pytest
from operator_testing.builders import NAMESPACE, message
from operator_testing.scenarios import in_backoff
from operator_testing.world import World

from flowrun_operator.wiring import take_over

OWN_KEY = {"prefect": {"apiKeySecret": {"name": "mine"}}}


def told(world: World) -> list[str]:
    return [what for _, what in world.prefect.reports]


async def begin(world: World, wait_s: float, **spec) -> None:
    world.apply(**spec)
    await world.work()
    await world.pass_time(wait_s)


async def delete(world: World, wait_s: float = 60) -> None:
    world.api.remove(world.run)
    await world.work()
    await world.pass_time(wait_s)


async def unseen(world: World) -> None:
    world.apply()


async def starting(world: World) -> None:
    world.nodes.starts = False
    await begin(world, 2)


async def running(world: World) -> None:
    await begin(world, 5)


async def killed(world: World) -> None:
    await begin(world, 5)
    world.nodes.end_driver(1, "", 137)
    world.nodes.step()


async def suspended(world: World) -> None:
    await begin(world, 5)
    world.set_spec(suspend=True)
    await world.work()
    await world.pass_time(8)


async def succeeded(world: World) -> None:
    await begin(world, 5)
    world.nodes.end_driver()
    await world.pass_time(10)


async def failed(world: World) -> None:
    await begin(world, 5)
    world.nodes.end_driver(1, message("FAILED", "FlowFailed"), 1)
    await world.pass_time(10)


async def crashed(world: World) -> None:
    await killed(world)
    await world.pass_time(40)


STATES = [
    (unseen, []),
    (starting, ["CANCELLING", "CANCELLED"]),
    (running, ["CANCELLING", "CANCELLED"]),
    (killed, ["CANCELLING", "CANCELLED"]),
    (in_backoff, ["CANCELLING", "CANCELLED"]),
    (suspended, ["CANCELLING", "CANCELLED"]),
    (succeeded, []),
    (failed, []),
    (crashed, []),
]


@pytest.mark.parametrize(("state", "words"), STATES, ids=[state.__name__ for state, _ in STATES])
async def test_F25_a_run_deleted_in_any_state_leaves_nothing_and_prefect_hears_of_an_unfinished_one(
    world, state, words
):
    await state(world)
    world.prefect.reports.clear()
    await delete(world)
    assert not world.api.objects
    assert told(world) == words
    assert world.cache.told == {}


@pytest.mark.parametrize("steps", range(5))
async def test_F25_a_run_deleted_while_its_driver_is_being_created_leaves_nothing(world, steps):
    world.apply()
    for _ in range(steps):
        if world.queue.is_due():
            key = await world.queue.get()
            await world.reconciler.reconcile(key)
            world.queue.done(key)
    await delete(world)
    assert not world.api.objects
    assert told(world).count("CANCELLED") <= 1


async def test_F25_a_deletion_that_comes_between_the_decision_and_the_create_leaves_nothing(world):
    def delete_first(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "Job") and world.api.of("FlowRun"):
            world.api.remove(world.run)

    world.api.refuse = delete_first
    world.apply()
    await world.work()
    await world.pass_time(60)
    assert not world.api.objects
    assert told(world).count("CANCELLED") <= 1


@pytest.mark.parametrize("order", list(itertools.permutations(["delete", "end", "work", "nodes"])))
async def test_F24_success_racing_with_a_deletion_leaves_nothing_and_at_most_one_report(world, order):
    await begin(world, 5)
    for step in order:
        if step == "delete":
            world.api.remove(world.run)
        elif step == "end":
            world.nodes.end_driver()
        elif step == "nodes":
            world.nodes.step()
        else:
            await world.work()
    await world.pass_time(60)
    assert not world.api.objects
    assert told(world).count("CANCELLED") <= 1


async def test_F25_a_deleted_run_is_announced_at_once_and_reported_until_prefect_has_heard(world):
    await begin(world, 5)
    world.prefect.down = True
    await delete(world, 600)
    assert told(world) == []
    world.prefect.down = False
    await world.pass_time(60)
    assert told(world) == ["CANCELLED"]


async def test_F25_last_words_are_given_up_after_an_hour(world):
    await begin(world, 5)
    world.prefect.down = True
    await delete(world)
    world.seconds += 3600
    await world.pass_time(20)
    world.prefect.down = False
    await world.pass_time(60)
    assert told(world) == []


async def test_F07_a_deletion_that_no_watch_told_is_found_by_the_resync(world):
    await begin(world, 5)
    world.api.listeners.clear()
    world.api.remove(world.run)
    await world.resync()
    await world.work()
    await world.pass_time(60)
    assert told(world) == ["CANCELLING", "CANCELLED"]


async def test_F25_a_run_with_its_own_key_goes_without_a_word(world):
    await begin(world, 5, **OWN_KEY)
    await delete(world)
    assert not world.api.objects
    assert told(world) == []


async def test_F25_a_run_applied_anew_at_once_does_not_keep_the_old_one_from_being_told(world):
    await begin(world, 5)
    uid = world.run["metadata"]["uid"]
    world.api.remove(world.run)
    world.apply()
    await world.work()
    await world.pass_time(60)
    assert told(world) == ["CANCELLING", "CANCELLED"]
    assert {key for key, _ in world.prefect.reports} == {f"flowrun-{uid}"}
    assert world.status["state"] == "Running"


async def test_F25_an_operator_that_takes_over_says_nothing_of_what_was_deleted_while_it_stood_by(world):
    await begin(world, 5)
    world.queue.accepting = False
    world.api.remove(world.run)
    take_over(world.cache, world.queue)
    assert world.cache.take_deleted(NAMESPACE, "etl") == []
