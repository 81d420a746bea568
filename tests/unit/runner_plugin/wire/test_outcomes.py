"""The final state of a task as it travels."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from prefect.states import Completed, Failed

from prefect_flowrun.wire.outcomes import PackedState, pack


class OpensAFile:
    """Leaves a mark wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("travelled", [lambda packed: packed, lambda packed: pickle.loads(pickle.dumps(packed))])
def test_what_a_state_says_without_its_data_is_had_without_opening_it(tmp_path: Path, travelled: Any) -> None:
    state = Failed(message="no", data=OpensAFile(tmp_path / "opened"))
    brief = travelled(pack(state, share_memory=False)).brief
    told = brief.state()
    assert (told.type, told.name, told.message) == (state.type, state.name, state.message)
    assert told.timestamp == state.timestamp
    assert not (tmp_path / "opened").exists()


def test_a_small_outcome_is_bytes_that_run_nothing_of_the_users(tmp_path: Path) -> None:
    whole = pack(Completed(data=OpensAFile(tmp_path / "opened")), share_memory=True).small(2**14)
    assert whole is not None
    packed = PackedState.of_small(whole)
    assert not (tmp_path / "opened").exists()
    assert packed.brief is not None
    assert packed.brief.state().is_completed()
    packed.open()
    assert (tmp_path / "opened").exists()


def test_a_large_outcome_is_not_small() -> None:
    assert pack(Completed(data=b"x" * 2**15), share_memory=True).small(2**14) is None
