from flowrun_operator.observe.events import explanation

QUOTA = 'pods "etl-1-x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=10, limited: pods=10'


def event(message: str, reason: str = "FailedCreate", type_: str = "Warning", **times) -> dict:
    return {"type": type_, "reason": reason, "message": message, **times}


def test_F16_a_warning_about_the_jobs_pod_explains_it():
    found = explanation([event(QUOTA, lastTimestamp="2026-11-22T12:00:00Z")])
    assert (found.reason, found.message) == ("QuotaExceeded", QUOTA)


def test_other_warnings_keep_their_own_reason():
    assert explanation([event('configmap "code" not found', "FailedMount")]).reason == "FailedMount"


def test_normal_events_explain_nothing_but_a_pull():
    assert explanation([event("Successfully assigned", "Scheduled", "Normal")]) is None
    assert explanation([]) is None
    pulling = explanation([event("Pulling image x", "Pulling", "Normal")])
    assert (pulling.reason, pulling.message, pulling.passing) == ("Pulling", "Pulling image x", True)


def test_a_warning_from_before_the_pull_is_over():
    unscheduled = event("0/1 nodes", "FailedScheduling", lastTimestamp="2026-11-22T12:00:00Z")
    pulling = event("Pulling image x", "Pulling", "Normal", lastTimestamp="2026-11-22T12:00:05Z")
    pulled = event("Pulled", "Pulled", "Normal", lastTimestamp="2026-11-22T12:00:09Z")
    assert explanation([unscheduled, pulling]).reason == "Pulling"
    assert explanation([pulling, pulled]) is None


def test_the_newest_warning_counts_in_whichever_field_its_time_stands():
    old = event("old", "FailedScheduling", lastTimestamp="2026-11-22T12:00:00Z", eventTime=None)
    new = event("new", "FailedMount", lastTimestamp=None, eventTime="2026-11-22T12:00:05.123456Z")
    series = event("newest", "FailedAttach", series={"lastObservedTime": "2026-11-22T12:01:00.000000Z"})
    assert explanation([new, old]).reason == "FailedMount"
    assert explanation([new, series, old]).reason == "FailedAttach"
    assert explanation([event("no time at all", "Odd")]).reason == "Odd"
