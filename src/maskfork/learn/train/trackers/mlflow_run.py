"""MLflow. The server and the experiment are those of its own variables, MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow

NAME = "mlflow-run.txt"  # the run's id, by which it goes on


class MLflow:
    """One run a folder; a resumed one goes on in it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        file = folder / NAME
        known = file.read_text("utf-8").strip() if step and file.is_file() else None
        self.run: Any = mlflow.start_run(run_id=known, run_name=None if known else folder.resolve().name)
        file.write_text(str(self.run.info.run_id), "utf-8")
        if known is None:
            mlflow.log_params(dict(settings))

    def write(self, step: int, numbers: Mapping[str, float], sample: str | None) -> None:
        if numbers:
            mlflow.log_metrics(dict(numbers), step=step)
        if sample is not None:
            mlflow.log_text(sample, f"sample-{step}.txt")

    def close(self) -> None:
        mlflow.end_run()


start = MLflow
