"""CEL rules that both kinds use."""

SOURCE_RULES = [
    {
        "rule": "has(self.configMap) != has(self.persistentVolumeClaim)",
        "message": "exactly one of configMap and persistentVolumeClaim must be set",
    }
]


def immutable(field: str, advice: str = "") -> dict[str, str]:
    """Return the rule that a field of the spec keeps its value, or its absence.

    Args:
        field: Name as in the API.
        advice: What to do instead, for the message.
    """
    kept = f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
    message = f"{field} is immutable: {advice}" if advice else f"{field} is immutable"
    return {"rule": kept, "message": message, "fieldPath": f".{field}"}
