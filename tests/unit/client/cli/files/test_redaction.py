"""What strangers may see."""

from __future__ import annotations

from flowrun.cli.files.redaction import redacted


def test_values_of_users_are_left_out_and_names_are_kept() -> None:
    item = {
        "metadata": {"name": "etl", "annotations": {"last-applied": "secret"}, "managedFields": [1]},
        "spec": {
            "flow": {
                "entrypoint": "etl.py:etl",
                "parameters": {"token": "secret", "list": ["secret", {"a": "secret"}]},
            },
            "env": [
                {"name": "TOKEN", "value": "secret"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}},
            ],
            "driver": {"podTemplate": {"spec": {"containers": [{"env": [{"name": "X", "value": "secret"}]}]}}},
        },
        "data": {"flow.py": "secret"},
    }
    text = str(found := redacted(item))
    assert "secret" not in text.replace("secretKeyRef", "")
    assert "managedFields" not in text
    assert found["spec"]["flow"]["parameters"] == {"token": "(left out)", "list": ["(left out)", {"a": "(left out)"}]}
    assert found["spec"]["env"][1] == {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}
    assert found["spec"]["env"][0]["name"] == "TOKEN"
    assert found["data"] == {"flow.py": "(left out)"}
    assert item["data"] == {"flow.py": "secret"}
