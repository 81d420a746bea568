"""Refusals in the words of real API servers."""

import pytest

from flowrun_operator.observe.refusals import refusal

NEEDS = 'pods "etl-1-x" is forbidden: failed quota: team: must specify limits.cpu for: flowrun'
QUOTA = 'pods "etl-1-x" is forbidden: exceeded quota: team, requested: pods=1, used: pods=10, limited: pods=10'
POD_SECURITY = (
    'pods "etl-1-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
)
SCC = (
    'pods "etl-1-x" is forbidden: unable to validate against any security context constraint: [provider "anyuid": '
    "Forbidden: not usable by user or serviceaccount, provider restricted-v2: .containers[0].runAsUser: Invalid value: "
    "10001: must be in the ranges: [1000650000, 1000659999]]"
)
BELOW = (
    'Pod "etl-1-default-w-0" is invalid: spec.containers[0].resources.requests: Invalid value: "250m": '
    "must be less than or equal to cpu limit of 100m"
)
OWN = (
    'Job.batch "etl-1" is invalid: spec.template.spec.containers[0].resources.requests: Invalid value: "2": '
    "must be less than or equal to cpu limit of 1"
)
ABOVE = 'pods "etl-1-x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'
RATIO = 'pods "etl-1-x" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000'
POLICY = (
    "jobs.batch \"etl-1\" is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'labels' denied request: "
    "every pod and job needs the label cost-center"
)
HOOK = 'admission webhook "validate.kyverno.svc-fail" denied the request: images must come from registry.example.com'

TABLE = [
    ("a quota that wants limits", NEEDS, "QuotaExceeded", ""),
    ("a quota that is used up", QUOTA, "QuotaExceeded", ""),
    ("Pod Security", POD_SECURITY, "PodSecurityViolation", ""),
    ("OpenShift", SCC, "PodSecurityViolation", "podSecurityContext"),
    ("a LimitRange below the request", BELOW, "LimitRangeViolation", "LimitRange"),
    ("the same as an event", f"Error creating: {BELOW}", "LimitRangeViolation", "in full"),
    ("a LimitRange's maximum", ABOVE, "LimitRangeViolation", ""),
    ("a LimitRange's ratio", RATIO, "LimitRangeViolation", ""),
    ("what the spec itself says wrong", OWN, "Invalid", ""),
    ("a policy that wants labels", POLICY, "PolicyDenied", "spec.podMetadata.labels"),
    ("a webhook", HOOK, "PolicyDenied", ""),
    ("anything else", 'secrets is forbidden: User "x" cannot create resource "secrets"', "Invalid", ""),
    ("nothing", "", "Invalid", ""),
]


@pytest.mark.parametrize(("message", "reason", "hint"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_F16_a_refusal_gets_a_reason_that_users_know_and_keeps_its_words(message, reason, hint):
    found = refusal(message, "Invalid")
    assert found.reason == reason
    assert found.message.startswith(message)
    assert hint in found.message[len(message) :] if hint else found.message == message


def test_the_hint_is_not_cut_off_behind_a_long_list():
    assert refusal(f"{SCC}{', provider x: no' * 200}", "x").message[:1024].endswith("to the platform)")
