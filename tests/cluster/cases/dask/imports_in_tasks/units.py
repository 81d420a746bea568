"""Beside the flow, which imports it at its top."""


def metres(feet: float) -> float:
    return feet * 0.3


def both(amount: float) -> tuple[float, float]:
    from weights import kilograms  # late, as people do against circular imports

    return metres(amount), kilograms(amount)
