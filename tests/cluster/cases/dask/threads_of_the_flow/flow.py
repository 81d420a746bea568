"""Threads of the flow submit at once, from the first task on; threads of tasks write to their task's log."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from uuid import UUID

from prefect import flow, get_client, get_run_logger, runtime, task
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

THREADS, EACH, LINES = 4, 3, 2


@task
def notes(number: int) -> int:
    def write(line: int) -> None:
        get_run_logger().info("note %d.%d", number, line)

    with ThreadPoolExecutor(LINES) as pool:
        for written in [pool.submit(copy_context().run, write, line) for line in range(LINES)]:
            written.result()
    return -number


def submit(thread: int) -> list:
    return [(number, notes.submit(number)) for number in range(thread * EACH, (thread + 1) * EACH)]


def logged() -> Counter:
    with get_client(sync_client=True) as client:
        own = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[UUID(str(runtime.flow_run.id))]))
        found = client.read_logs(own, limit=200)
    return Counter((str(entry.task_run_id), entry.message) for entry in found if entry.message.startswith("note "))


@flow
def main() -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        shares = [pool.submit(copy_context().run, submit, thread) for thread in range(THREADS)]
        futures = [pair for share in shares for pair in share.result()]
    assert [future.result() for _, future in futures] == [-number for number, _ in futures]
    wanted = Counter((str(f.task_run_id), f"note {n}.{line}") for n, f in futures for line in range(LINES))
    end = time.monotonic() + 60
    while logged() != wanted and time.monotonic() < end:
        time.sleep(1)
    assert logged() == wanted
