"""Errors of the API server, told apart by what one can do about them."""

from __future__ import annotations

import json


class ApiError(Exception):
    """A refused or failed request.

    Args:
        status: HTTP status; 0 when the server was not reached.
        reason: Kubernetes' reason, CamelCase.
        message: What the server said.
        retry_after_s: For how many seconds the server asks to be left alone; 0 when it does not.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def already_exists(self) -> bool:
        """The name is taken."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def conflict(self) -> bool:
        """The object has changed since it was read, or is another one now."""
        return self.status == 409 and self.reason != "AlreadyExists"

    @property
    def not_found(self) -> bool:
        """The object is gone."""
        return self.status == 404

    @property
    def refused(self) -> bool:
        """The server understood and said no: quota, admission, rights or an invalid object. Users must see it."""
        return self.status in {400, 403, 422} or (self.status == 500 and "admission webhook" in self.message)


def asked_s(error: BaseException) -> float:
    """Return for how many seconds the API server asks to be left alone, if the error is such an answer; otherwise 0."""
    return error.retry_after_s if isinstance(error, ApiError) else 0.0


def error_from(status: int, data: bytes, retry_after: str = "") -> ApiError:
    """Return the error that a response tells of.

    Args:
        status: HTTP status.
        data: The response's body.
        retry_after: The header Retry-After: seconds, as the API server says it. Anything else, a date too, is ignored.
    """
    retry_after_s = float(retry_after) if retry_after.isdecimal() else 0.0
    try:
        body = json.loads(data)
        return ApiError(status, str(body.get("reason") or ""), str(body.get("message") or ""), retry_after_s)
    except (ValueError, AttributeError):
        return ApiError(status, "", data[:300].decode(errors="replace"), retry_after_s)
