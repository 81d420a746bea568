"""CEL rules that both kinds use."""

_ONE_SOURCE = ["has(self.configMap)", "has(self.persistentVolumeClaim)", "has(self.git)"]
SOURCE_RULES = [
    {
        "rule": f"[{', '.join(_ONE_SOURCE)}].exists_one(given, given)",
        "message": "exactly one of configMap, persistentVolumeClaim and git must be set",
    },
    {
        "rule": "!has(self.git) || !has(self.git.path) || !self.git.path.split('/').exists(part, part == '..')",
        "message": "path must not lead out of the repository",
        "fieldPath": ".git.path",
    },
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
