"""The driver process of one row: `python -m task_overhead.driver ORDER_FILE`.

It imports only what its row needs, so that its memory and CPU time are the row's.
"""

from __future__ import annotations

import importlib
import sys

from task_overhead.measure import measure
from task_overhead.order import Order
from task_overhead.rows import ROWS


def main(order_file: str) -> None:
    order = Order.read(order_file)
    row = ROWS[order.row]
    if row.uses_prefect:
        flow = importlib.import_module("task_overhead.flow")
        if row.kind == "ours":  # as the driver of a FlowRun does before the flow begins
            importlib.import_module("prefect_flowrun.worker.garbage").pass_over_imports()
        flow.bench.with_options(task_runner=flow.runner(row.name, order.address))(order_file)
        return
    bare = importlib.import_module(f"task_overhead.bare_{row.engine}")
    with bare.connected(order.address) as calls:
        measure(calls, order)


if __name__ == "__main__":
    main(sys.argv[1])
