"""Which model reads handwritten digits best? One task a candidate, on the run's Dask workers."""

from __future__ import annotations

import base64
import io
import socket
from typing import Any

from candidates import build, candidates
from prefect import flow, task
from prefect.artifacts import create_image_artifact, create_table_artifact


@task
def evaluate(candidate: dict[str, Any], folds: int) -> dict[str, Any]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import cross_val_score

    data, target = load_digits(return_X_y=True)
    scores = cross_val_score(build(**candidate), data, target, cv=folds)
    return {**candidate, "accuracy": float(scores.mean()), "worker": socket.gethostname()}


@task
def confusion_picture(best: dict[str, Any]) -> bytes:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_digits
    from sklearn.metrics import ConfusionMatrixDisplay
    from sklearn.model_selection import train_test_split

    data, target = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(data, target, random_state=0)
    model = build(best["model"], best["parameters"]).fit(train_x, train_y)
    ConfusionMatrixDisplay.from_estimator(model, test_x, test_y, colorbar=False)
    plt.title(f"{best['model']} {best['parameters']}: {best['accuracy']:.1%}", fontsize=9)
    picture = io.BytesIO()
    plt.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


@flow(log_prints=True)
def model_selection(folds: int = 3) -> str:
    futures = evaluate.map(candidates(), folds=folds)
    results = sorted((future.result() for future in futures), key=lambda r: r["accuracy"], reverse=True)
    best = results[0]
    picture = confusion_picture.submit(best)
    table = [
        {"rank": rank, "model": r["model"], "parameters": str(r["parameters"]), "accuracy": f"{r['accuracy']:.4f}"}
        for rank, r in enumerate(results, start=1)
    ]
    create_table_artifact(table=table, key="model-selection", description="Cross-validated accuracy on digits")
    encoded = base64.b64encode(picture.result()).decode()
    create_image_artifact(image_url=f"data:image/png;base64,{encoded}", key="model-selection-confusion")
    for row in table[:5]:
        print(f"{row['rank']}. {row['accuracy']}  {row['model']:7s} {row['parameters']}")
    workers = sorted({r["worker"] for r in results})
    print(f"{len(results)} candidates on {len(workers)} workers: {', '.join(workers)}")
    return f"best: {best['model']} {best['parameters']} with accuracy {best['accuracy']:.4f}"


if __name__ == "__main__":
    model_selection()
