import pytest

from flowrun_operator.election.decide import Acquire, Observed, Renew, Wait, decide
from flowrun_operator.election.record import Record

THEIRS, MINE, FREE = Record("other", 15), Record("me", 15), Record("", 1)
LONG_AGO = Record("other", 15, renewed="1970-01-01T00:00:00.000000Z")
FAR_AHEAD = Record("other", 15, renewed="2999-01-01T00:00:00.000000Z")

# name, record, seen unchanged for so many seconds, verdict
TABLE = [
    ("there never was a Lease: take it", None, 0, Acquire()),
    ("it was given back: take it", FREE, 0, Acquire()),
    ("it is ours: renew it", MINE, 0, Renew()),
    ("it is ours and has run out: nobody has taken it, renew it", MINE, 60, Renew()),
    ("another one has just been seen with it: wait", THEIRS, 0, Wait(15)),
    ("another one has it a while: wait for the rest", THEIRS, 10, Wait(5)),
    ("another one is silent for the whole duration: take it", THEIRS, 15, Acquire()),
    ("the duration is the holder's, not ours", Record("other", 40), 15, Wait(25)),
    ("a Lease without a duration protects nobody", Record("other"), 0, Acquire()),
]


@pytest.mark.parametrize(("record", "unchanged_s", "verdict"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_F05_what_a_candidate_does(record, unchanged_s, verdict):
    now = 1000.0
    observed = None if record is None else Observed(record, now - unchanged_s)
    assert decide(observed, now, "me") == verdict


@pytest.mark.parametrize("record", [LONG_AGO, FAR_AHEAD])
def test_F27_the_holders_clock_does_not_matter(record):
    assert decide(Observed(record, 100.0), 105.0, "me") == Wait(10)
    assert decide(Observed(record, 100.0), 115.0, "me") == Acquire()
