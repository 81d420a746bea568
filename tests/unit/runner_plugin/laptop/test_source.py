"""The code of a manifest, laid out as the kubelet would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowrun_api.kinds.common import FlowSource
from prefect_flowrun.laptop.problem import CannotRun
from prefect_flowrun.laptop.source import lay_out


def config_map(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, **fields}


def test_texts_and_bytes_become_files(tmp_path: Path) -> None:
    made = config_map(data={"flow.py": "é = 1\n"}, binaryData={"source.zip": "AAEC"})
    lay_out(FlowSource(config_map="code"), [made], tmp_path, tmp_path)
    assert (tmp_path / "flow.py").read_text() == "é = 1\n"
    assert (tmp_path / "source.zip").read_bytes() == b"\x00\x01\x02"


@pytest.mark.parametrize(
    ("source", "others", "said"),
    [
        (FlowSource(config_map="other"), [config_map(data={})], "ConfigMap other, which is not in the same file"),
        (FlowSource(persistent_volume_claim="big"), [], "PersistentVolumeClaim big, which is not on this machine"),
        (FlowSource(config_map="code"), [config_map(data={"../flow.py": ""})], "no key of a ConfigMap"),
        (FlowSource(config_map="code"), [config_map(binaryData={"a": "?"})], "binaryData.a of the ConfigMap"),
    ],
)
def test_what_is_not_here_or_can_not_be_is_refused(
    tmp_path: Path, source: FlowSource, others: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(CannotRun, match=said):
        lay_out(source, others, tmp_path, tmp_path)
    assert not list(tmp_path.iterdir())
