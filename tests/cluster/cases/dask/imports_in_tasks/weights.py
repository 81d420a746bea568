"""Beside the flow; nobody imports it before a task does."""


def kilograms(pounds: float) -> float:
    return pounds * 0.45
