"""CPU time and memory of processes, from /proc: of whole trees, since Ray starts its workers itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Of each process by pid, as text for JSON: its group and the CPU seconds it has used so far.
Sample = dict[str, tuple[str, float]]
Groups = Mapping[str, list[int]]

_TICKS = os.sysconf("SC_CLK_TCK")
_MEBIBYTE_KB = 1024
# Ray renames its workers once they run.
_RAY_WORKER = (b"ray::", b"default_worker.py")


def sample(groups: Groups) -> Sample:
    """Read the CPU time of processes and their descendants.

    Args:
        groups: pids by name. Of group "ray", Ray's worker processes count as "workers", the rest as "coordinator".
    """
    found: Sample = {}
    for process, group in _members(groups).items():
        if (usage := _stat(process)) is not None:
            found[str(process)] = (_group_of(process) if group == "ray" else group, usage[1])
    return found


def spent(before: Sample, *later: Sample) -> dict[str, float]:
    """Return the CPU seconds of each group since `before`; a process that ended counts as far as it was last seen."""
    first: Sample = {}
    last: Sample = {}
    for each in (before, *later):
        first = each | first
        last |= each
    seconds: dict[str, float] = {}
    for pid, (_, cpu_s) in last.items():
        # The group at first sight: a process that has ended, but is not reaped yet, does not say what it was.
        group, start_s = first[pid][0], before.get(pid, ("", 0.0))[1]
        seconds[group] = seconds.get(group, 0.0) + cpu_s - start_s
    return seconds


def tree(root: int) -> list[int]:
    """Return a process and its descendants."""
    return list(_members({"": [root]}))


def resident_mb() -> float:
    """Return this process's resident memory in MiB."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / _MEBIBYTE_KB


def _members(groups: Groups) -> dict[int, str]:
    members = {root: group for group, roots in groups.items() for root in roots}
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (usage := _stat(int(entry.name))) is not None:
            children.setdefault(usage[0], []).append(int(entry.name))
    unvisited = list(members)
    while unvisited:
        parent = unvisited.pop()
        for child in children.get(parent, []):
            if child not in members:
                members[child] = members[parent]
                unvisited.append(child)
    return members


def _stat(pid: int) -> tuple[int, float] | None:
    """Return the parent and the CPU seconds of a process; None if it is gone."""
    try:
        # The name, in brackets, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS


def _group_of(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "coordinator"
    return "workers" if any(part in command for part in _RAY_WORKER) else "coordinator"
