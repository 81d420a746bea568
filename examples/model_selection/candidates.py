"""The candidates of the search: a helper module, which reaches the workers without being installed there."""

from __future__ import annotations

from itertools import product
from typing import Any


def candidates() -> list[dict[str, Any]]:
    """Return 48 models by name and parameters."""
    grids: dict[str, dict[str, list[Any]]] = {
        "svc": {"C": [0.1, 1, 10, 100], "gamma": [0.0005, 0.001, 0.002, 0.005]},
        "knn": {"n_neighbors": [1, 3, 5, 9], "weights": ["uniform", "distance"]},
        "tree": {"max_depth": [4, 8, 12, 16], "min_samples_leaf": [1, 3, 5, 9]},
        "forest": {"n_estimators": [20, 40, 60, 80], "max_features": ["sqrt", "log2"]},
    }
    return [
        {"model": model, "parameters": dict(zip(grid, values, strict=True))}
        for model, grid in grids.items()
        for values in product(*grid.values())
    ]


def build(model: str, parameters: dict[str, Any]) -> Any:
    """Return an untrained model."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    kinds = {"svc": SVC, "knn": KNeighborsClassifier, "tree": DecisionTreeClassifier, "forest": RandomForestClassifier}
    return kinds[model](**parameters)
