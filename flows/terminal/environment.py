"""Settings of Prefect, MLflow and Hugging Face that hold for every command; import this before any of them."""

import logging
import os
import sys
import warnings

from flows.terminal import servers
from tasks import store

OFF = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""No library reports on its users."""
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_CLI_PROMPT": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "TQDM_DISABLE": "1",
}
"""The terminal is for progress and results; logs go to the Prefect server. System metrics are started by the flow, for
its own run."""
PATIENT = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}
"""A temporary Prefect server needs more than its default 20 s to start while other things keep the cores busy."""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""A tracking server that died is noticed within a minute; MLflow's own seven retries of two minutes each take half an
hour, in silence."""
SHARED_CORES = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait must not spin: with two stages side by side, spinning was measured to cost three quarters of the
speed."""

SAME_BITS = {"MKL_CBWR": "AUTO"}
"""A product of matrices is the same to the last bit wherever they lie in memory; else that of a single row is not, and
weights read from a file lie elsewhere than copied ones."""


def prepare() -> None:
    """Set what the user has not set, and let every file that is written, also by libraries and child processes, be its
    owner's alone: reports, databases and tables hold what is to be forgotten. Servers of the store that run are used.

    Raises:
        RuntimeError: If Prefect was imported first: it has read its settings, and would keep results elsewhere.
    """
    if "prefect" in sys.modules and "PREFECT_LOCAL_STORAGE_PATH" not in os.environ:
        raise RuntimeError(
            "prefect was imported before its settings were made; wanted environment.prepare() before `import prefect`:"
            " start anew and call it first"
        )
    os.umask(0o077)
    for name, value in {**OFF, **QUIET, **PATIENT, **IMPATIENT, **SHARED_CORES, **SAME_BITS}.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_LOCAL_STORAGE_PATH", str(store.home() / "results"))
    for noisy in ("alembic", "mlflow", "lm_eval", "datasets"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(langchain|spacy|prefect|mlflow|pydantic|websockets).*")
    servers.find()
