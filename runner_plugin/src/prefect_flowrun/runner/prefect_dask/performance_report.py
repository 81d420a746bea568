"""Dask's performance report of a flow run: a file, as the flow asks for, and an artifact, which outlives the driver."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import FlowRunContext

if TYPE_CHECKING:
    import distributed

# Of a page that a browser still shows, and a database still holds; a report of some thousand tasks has 1 to 2 MB.
MAX_ARTIFACT_BYTES = 4 * 2**20
ARTIFACT_KEY = "dask-performance-report"
_FENCE = "`" * 8
Logger = logging.Logger | logging.LoggerAdapter[Any]


class PerformanceReport:
    """One report, from the first submit of a flow to its end."""

    def __init__(self, client: distributed.Client, path: str, logger: Logger) -> None:
        """Begin.

        Args:
            client: of the cluster.
            path: where the report is written.
            logger: of the flow run.
        """
        import distributed  # noqa: PLC0415 - with another engine it need not be there

        self._client = client
        self._path = path
        self._logger = logger
        self._report = distributed.performance_report(path)
        with client.as_current():
            self._report.__enter__()

    def finish(self) -> None:
        """Write the report, and keep it in Prefect. Says in the flow run's log what does not work."""
        try:
            if "://" not in self._path:
                Path(self._path).parent.mkdir(parents=True, exist_ok=True)
            with self._client.as_current():
                self._report.__exit__(None, None, None)
        except Exception as error:  # the scheduler may be gone, or lack bokeh; the flow has ended well all the same
            self._logger.warning(
                "The performance report was not written to %s: %s: %s (the driver's image needs bokeh)",
                self._path,
                type(error).__name__,
                error,
            )
            return
        self._logger.info("The performance report is in %s", self._path)
        with suppress(OSError):
            self._keep(Path(self._path).read_text())

    def _keep(self, html: str) -> None:
        size = len(html.encode())
        if size > MAX_ARTIFACT_BYTES:
            self._logger.warning(
                "The performance report has %d bytes; as an artifact Prefect gets it up to %d", size, MAX_ARTIFACT_BYTES
            )
            return
        name = Path(self._path).name
        flow = FlowRunContext.get()
        artifact = ArtifactCreate(
            key=ARTIFACT_KEY,
            type="markdown",
            description=f"Dask's performance report, to be saved as {name} and opened in a browser",
            data=f"{_FENCE}html\n{html}\n{_FENCE}\n",
            flow_run_id=flow.flow_run.id if flow is not None and flow.flow_run is not None else None,
        )
        try:
            get_client(sync_client=True).create_artifact(artifact)
        except Exception as error:
            self._logger.warning("The performance report is no artifact in Prefect: %s", error)
