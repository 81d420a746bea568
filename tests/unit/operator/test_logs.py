import json
import logging
import sys

from flowrun_operator.logs import JsonFormatter


def formatted(message: str, *args: object, **extra: object) -> dict:
    record = logging.getLogger("flowrun").makeRecord(
        "flowrun", logging.WARNING, "file.py", 1, message, args, extra.pop("exc_info", None), extra=extra or None
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_one_json_object_with_its_extra_fields():
    entry = formatted("Reconcile of %s failed", "etl", namespace="team", retry_s=0.2)
    assert (entry["level"], entry["logger"], entry["message"]) == ("warning", "flowrun", "Reconcile of etl failed")
    assert (entry["namespace"], entry["retry_s"]) == ("team", 0.2)
    assert entry["time"].endswith("+00:00")


def test_lines_in_a_message_stay_in_one_line_of_the_log():
    assert formatted("one\ntwo")["message"] == "one\ntwo"


def test_what_json_does_not_know_is_printed():
    assert formatted("x", error=ValueError("y"))["error"] == "y"


def test_an_exception_is_told():
    try:
        raise ValueError("oh")
    except ValueError:
        assert "ValueError: oh" in formatted("x", exc_info=sys.exc_info())["exception"]


def test_kopfs_bulk_is_left_out():
    assert "k8s_ref" not in formatted("x", k8s_ref={"name": "etl"})
