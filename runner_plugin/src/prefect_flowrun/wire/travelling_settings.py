"""What of Prefect's settings travels to workers: what a flow may have changed, but no secret, and nothing of the host.

Workers of a FlowRun and of a standalone cluster have settings of their own, in their environment; what is left out here
they take from there. Those that a laptop's flow starts on the same machine have not, so there secrets travel along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr

# Folders of the host, and the settings of servers, which workers are not.
_HOST = (("home",), ("profiles_path",), ("server",))
# As good as secret, or files of the host, though their types do not say so.
_OF_THE_SENDER = (("client", "custom_headers"), ("api", "ssl_cert_file"))


def travelling(serialized: dict[str, Any], settings: BaseModel, *, with_secrets: bool) -> dict[str, Any]:
    """Return the settings context as it travels.

    Args:
        serialized: by `prefect.context.serialize_context`; changed.
        settings: what it was made from.
        with_secrets: whether the workers have none of their own.
    """
    values = serialized.get("settings")
    if isinstance(values, dict):
        left_out = [*_HOST] if with_secrets else [*_HOST, *_OF_THE_SENDER, *secret_fields(settings)]
        for path in left_out:
            _pop(values, path)
    profile = serialized.get("profile")
    if isinstance(profile, dict):
        # All of it is in the settings too, and after `prefect cloud login` the key is.
        serialized["profile"] = {"name": profile.get("name", "ephemeral")}
    return serialized


def secret_fields(settings: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """List the fields that may hold a secret, each as the names that lead to it.

    By their types: one that is not set here must not travel either, or a worker's own would be unset.

    Args:
        settings: Prefect's settings, or a part of them.
        path: of that part.
    """
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name, None)
        if isinstance(value, BaseModel):
            yield from secret_fields(value, (*path, name))
        elif _may_hold_secret(field.annotation) or isinstance(value, (SecretStr, SecretBytes)):
            yield (*path, name)


def _may_hold_secret(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, (SecretStr, SecretBytes)):
        return True
    return any(map(_may_hold_secret, get_args(annotation)))


def _pop(values: dict[str, Any], path: tuple[str, ...]) -> None:
    *parents, name = path
    for parent in parents:
        inner = values.get(parent)
        if not isinstance(inner, dict):
            return
        values = inner
    values.pop(name, None)
