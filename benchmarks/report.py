"""Tables: minimum, median and maximum of every stage, and how they stand to the bars."""

from __future__ import annotations

from collections import Counter
from statistics import median

from settings import MEMORY_BAR_MB, RATIO_BAR, RAY_BAR_S, WRITES_BAR
from timeline import STAGES, Run
from writes import without_workers

OPERATOR_USER = "flowrun-operator"


def verdict(value: float, bar: float, unit: str = "") -> str:
    return f"{'PASS' if value <= bar else 'FAIL'} (bar: {bar:g}{unit})"


def spread(values: list[float]) -> str:
    return f"{min(values):6.2f} /{median(values):6.2f} /{max(values):6.2f}" if values else "-"


def stage_table(runs: list[Run]) -> str:
    """Return the timeline per stage, one column per system."""
    systems = sorted({run.system for run in runs}, reverse=True)  # the peer first
    lines = [f"{'seconds after the create call':32}" + "".join(f"{_column(runs, s):>30}" for s in systems)]
    for stage, text in STAGES.items():
        cells = [spread(values(runs, system, stage)) for system in systems]
        lines.append(f"{text:32}" + "".join(f"{cell:>30}" for cell in cells))
    return "\n".join(lines)


def values(runs: list[Run], system: str, stage: str) -> list[float]:
    return [run.stages[stage] for run in runs if run.system == system and stage in run.stages]


def ratio_lines(runs: list[Run]) -> list[str]:
    """Return the bars that the timeline answers."""
    lines = []
    mine, theirs = (values(runs, system, "first_task") for system in ("ours", "peer"))
    if mine and theirs:
        ratio = median(mine) / median(theirs)
        lines.append(f"first task, ours / peer: {ratio:.3f} {verdict(ratio, RATIO_BAR)}")
    after_end = {
        system: [
            run.stages["workers_gone"] - run.stages["final"]
            for run in runs
            if run.system == system and {"workers_gone", "final"} <= run.stages.keys()
        ]
        for system in ("peer", "ours")
    }
    for system, seconds in after_end.items():
        if seconds:
            bar = f" {verdict(max(seconds), 4.0, ' s')}" if system == "ours" else ""
            lines.append(f"worker pods gone after the flow's end, {system}: {spread(seconds)}{bar}")
    return lines


def cpu_table(runs: list[Run], system: str) -> str:
    """Return the median CPU seconds until the flow's end, by kind of process."""
    mine = [run.cpu for run in runs if run.system == system and run.cpu and not run.error]
    if not mine:
        return "CPU seconds: not measured (the node is not this machine)"
    kinds = sorted({kind for cpu in mine for kind in cpu}, key=lambda k: -median(c.get(k, 0.0) for c in mine))
    lines = [f"CPU seconds until the flow's end, {system}, median"]
    lines += [f"  {kind:30}{median(cpu.get(kind, 0.0) for cpu in mine):6.2f}" for kind in kinds]
    return "\n".join([*lines, f"  {'all':30}{median(sum(cpu.values()) for cpu in mine):6.2f}"])


def ray_line(runs: list[Run]) -> str:
    """Return the bar of a start on Ray."""
    seconds = values(runs, "ours-ray", "first_task")
    return f"first task on Ray: {verdict(median(seconds), RAY_BAR_S, ' s')}" if seconds else "no run on Ray succeeded"


def writes_table(runs: list[Run]) -> str:
    """Return the median writes of a run per user, and what the operator of each system wrote."""
    counted = [run for run in runs if run.writes]
    if not counted:
        return "API writes: not counted (no audit log of the bundled cluster)"
    systems = sorted({run.system for run in counted}, reverse=True)
    users = sorted({user for run in counted for user in run.writes})
    lines = [f"{'API writes of a run, median':32}" + "".join(f"{s:>12}" for s in systems)]
    for user in users:
        cells = [_median_writes(counted, system, user) for system in systems]
        lines.append(f"{user:32}" + "".join(f"{cell:12g}" for cell in cells))
    lines.append(f"{'all':32}" + "".join(f"{_median_writes(counted, system, None):12g}" for system in systems))
    mine = [run.writes.get(OPERATOR_USER, {}) for run in counted if run.system == "ours"]
    if mine:
        most = max(mine, key=without_workers)
        lines.append(f"our operator beside one per worker: {verdict(without_workers(most), WRITES_BAR)}: ")
        lines[-1] += ", ".join(f"{number} {what}" for what, number in sorted(Counter(most).items()))
    return "\n".join(lines)


def memory_table(samples: list[tuple[str, float]]) -> str:
    """Return the operator's resident memory after so many runs."""
    text = ", ".join(f"{mb:.1f} ({runs})" for runs, mb in samples)
    most = max((mb for _, mb in samples), default=0.0)
    return f"operator memory in MB (after n runs): {text}\n  {verdict(most, MEMORY_BAR_MB, ' MB')}"


def _column(runs: list[Run], system: str) -> str:
    good = [run for run in runs if run.system == system and not run.error]
    bad = sum(1 for run in runs if run.system == system and run.error)
    return f"{system} (n={len(good)}{f', {bad} failed' if bad else ''}) min/median/max"


def _median_writes(runs: list[Run], system: str, user: str | None) -> float:
    return median(
        sum(sum(counts.values()) for name, counts in run.writes.items() if user in (None, name))
        for run in runs
        if run.system == system
    )
