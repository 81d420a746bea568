"""Fields of a spec as Python has them, made into what the API takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from flowrun_api.kinds.common import ApiModel
from flowrun_api.kinds.faults import faults

Raw = dict[str, Any]


def spec_of(model: type[ApiModel], fields: Mapping[str, Any]) -> Raw:
    """Return a spec as the API takes it, with nothing in it that was not given.

    Args:
        model: of the spec.
        fields: names as in YAML (`startupDeadlineSeconds`) or as in Python (`startup_deadline_seconds`); values plain
            data or models of `flowrun_api`.

    Raises:
        ValueError: a field is missing, unknown or wrong; the message names each.
    """
    unknown = list(_unknown(model, fields, "spec"))
    try:
        found = model.model_validate(dict(fields))
    except ValidationError as error:
        raise ValueError("; ".join([*unknown, *faults(error, "spec")])) from None
    if unknown:
        raise ValueError("; ".join(unknown))
    return found.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _unknown(model: type[ApiModel], fields: Mapping[str, Any], where: str) -> Iterator[str]:
    """Give the names that a model does not have: it would leave them out without a word."""
    known = {name: field for key, field in model.model_fields.items() for name in (key, field.alias or key)}
    for name, value in fields.items():
        if name not in known:
            yield f"{where}: there is no field {name}"
            continue
        inner = _model_in(known[name].annotation)
        if inner is None:
            continue
        if isinstance(value, Mapping):
            yield from _unknown(inner, value, f"{where}.{name}")
        elif isinstance(value, list | tuple):
            for index, each in enumerate(value):
                if isinstance(each, Mapping):
                    yield from _unknown(inner, each, f"{where}.{name}[{index}]")


def _model_in(annotation: Any) -> type[ApiModel] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, ApiModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
