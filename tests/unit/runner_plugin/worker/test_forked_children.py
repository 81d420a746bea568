"""Children that tasks fork, beside a worker's own handling of SIGTERM."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import asyncio, multiprocessing, signal, time
from prefect_flowrun.worker import forked_children

async def worker():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, "the worker was told to end")
    forked_children.end_at_sigterm()
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    await asyncio.to_thread(child.join, 30)
    await asyncio.sleep(0.1)
    print(child.exitcode)

asyncio.run(worker())
"""


def test_a_forked_child_ends_at_sigterm_and_its_worker_does_not_hear_of_it():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split("\n")[0] == "-15"
