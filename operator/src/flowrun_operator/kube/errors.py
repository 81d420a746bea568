"""Errors of the API server, told apart by what one can do about them."""

from __future__ import annotations

import json


class ApiError(Exception):
    """A refused or failed request.

    Args:
        status: HTTP status; 0 when the server was not reached.
        reason: Kubernetes' reason, CamelCase.
        message: What the server said.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

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


def error_from(status: int, data: bytes) -> ApiError:
    """Return the error that a response tells of."""
    try:
        body = json.loads(data)
        return ApiError(status, str(body.get("reason") or ""), str(body.get("message") or ""))
    except (ValueError, AttributeError):
        return ApiError(status, "", data[:300].decode(errors="replace"))
