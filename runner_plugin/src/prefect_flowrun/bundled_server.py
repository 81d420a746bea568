"""`python -m prefect_flowrun.bundled_server`: Prefect's own server, as the chart starts it beside the operator.

Arguments are those of `prefect server start`.
"""

from __future__ import annotations

import gc
import runpy
import sys

# Objects made, and looks at the young and at the middle-aged ones, before the next look at what is older.
_THRESHOLDS = (50_000, 20, 20)


def look_less_often() -> None:
    """Have the garbage collector look for cycles less often.

    By default it looks after every 700 objects that were made. What is under way in a server of events, 200 of a batch
    and what is made of them, has grown old by then, and each quarter more of that is a look at everything: 0.3 s during
    which nobody is answered. Without most of them a task run costs the server a tenth less CPU.
    """
    gc.set_threshold(*_THRESHOLDS)


def main() -> None:
    """Start the server; returns when it was stopped."""
    look_less_often()
    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    main()
