"""Where runs are kept: a tracking server's address, a client for it, whether it can be used at all, also in the middle
of a run, and which ones a store has used.
"""

import contextlib
import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from tasks import store
from tasks.execution import run_database, serving

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "lethe"
KEEP_UNTIL = "lethe.keep_until"
"""Tag of a run: until when its forget artifacts are kept, in seconds of the epoch, as it was set when it began."""
PROXIED = "mlflow-artifacts:/"
"""Where artifacts lie for clients that are to ask MLflow's server for them."""
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_REGISTRY_URI")
"""Variables that are meant for today's server alone."""
ANSWER_S = 8
"""Seconds that a server has for its first answer; MLflow itself would ask for minutes."""
UNDER_WAY_S = 60
"""Seconds that it has in a run under way: where models train beside it, a server that lives may take long."""
_experiment_ids: dict[tuple[str, str], str] = {}
"""Tracking server and name -> id of that experiment there."""
_ready: set[str] = set()
"""Addresses that a client can be made for without a look first."""


class NoTrackingServerError(RuntimeError):
    """The tracking server does not answer, or is none; asking again at once would not help."""


def tracking_uri() -> str:
    """Return the tracking server's address: MLFLOW_TRACKING_URI, else a database under LETHE_HOME."""
    return os.environ.get("MLFLOW_TRACKING_URI") or own_database()


def own_database() -> str:
    """Return the address of the store's own database."""
    return f"sqlite:///{store.home() / 'mlflow.db'}"


def is_remote() -> bool:
    """Return whether runs are kept by a server, not in a database."""
    return tracking_uri().startswith("http")


def client() -> "MlflowClient":
    """Return a client for the tracking server.

    Raises:
        NoTrackingServerError: If it does not answer, the first time that it is asked.
    """
    return client_of(tracking_uri(), os.environ.get("MLFLOW_REGISTRY_URI"))


def client_of(uri: str, registry: str | None = None) -> "MlflowClient":
    """Return a client for a server, which is made ready the first time. A call of it that fails because the server has
    died meanwhile raises the same error; whoever asks after that is told at once.

    Raises:
        NoTrackingServerError: If it does not answer then.
    """
    _require_ready(uri)
    client = _client(uri, registry or uri)
    return cast("MlflowClient", _Watched(client, uri)) if uri.startswith("http") else client


def _require_ready(uri: str) -> None:
    if uri not in _ready:
        _make_ready(uri)
        _note(uri)
        _ready.add(uri)


class _Watched:
    """A server's client whose calls look at the server when they fail."""

    def __init__(self, client: "MlflowClient", uri: str) -> None:
        self._client, self._uri = client, uri

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._watched(found) if callable(found) else found

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        from mlflow.exceptions import MlflowException

        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> Any:
            _require_ready(self._uri)
            try:
                return method(*arguments, **named)
            except (MlflowException, OSError):  # artifacts go past MLflow's own errors
                _ready.discard(self._uri)
                _require_ready(self._uri)
                raise

        return call


@contextlib.contextmanager
def as_global_uri(uri: str | None = None) -> Iterator[None]:
    """Let MLflow's own functions see a tracking server while the block runs; it keeps the address in the environment.

    Args:
        uri: None: the one that is set.
    """
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI", "")
    mlflow.set_tracking_uri(uri or tracking_uri())
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


@contextlib.contextmanager
def without_credentials(*, of: str) -> Iterator[None]:
    """Let no server but today's get to know the name and password that the environment has for it, nor have its
    registry of models.
    """
    others = () if of == tracking_uri() else CREDENTIALS
    kept = {name: os.environ.pop(name) for name in others if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def experiment_id(api: "MlflowClient", name: str = EXPERIMENT) -> str:
    """Return the id of an experiment of ours on the tracking server, which is made if need be."""
    asked = tracking_uri(), name
    if asked not in _experiment_ids:  # every run of a stage asks
        _experiment_ids[asked] = find_or_make_experiment(api, asked[0], name)
    return _experiment_ids[asked]


def used_servers() -> list[str]:
    """Return the addresses of all servers that the store has used, today's first; those of earlier days are without
    passwords.
    """
    file, today = store.home() / "servers", tracking_uri()
    noted = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
    own = [own_database()] if (store.home() / "mlflow.db").is_file() else []
    others = [uri for uri in (*own, *noted) if uri and uri not in (today, without_secrets(today))]
    return list(dict.fromkeys((today, *others)))


def _note(uri: str) -> None:
    """Remember a server besides the store's own database, which moves with the store, and those of `lethe up`, which
    serve it.
    """
    if uri != own_database() and not serving.is_own(uri) and uri not in used_servers()[1:]:
        with (store.home() / "servers").open("a", encoding="utf-8") as file:
            file.write(f"{without_secrets(uri)}\n")


def _client(uri: str, registry: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=registry)


def _make_ready(uri: str) -> None:
    """Make the tables of a new database, one process at a time: two would trip over each other. A server is asked under
    no lock, so that one which does not answer holds up nobody else.
    """
    if uri.startswith("http"):
        require_server(uri)
    elif uri == own_database():
        _settle(remote=serving.is_remote())
    elif uri.startswith("sqlite"):
        with store.lock("mlflow"):
            _make_tables(uri)


def _make_tables(uri: str) -> None:
    _client(uri, uri).search_experiments(max_results=1)


def _settle(*, remote: bool) -> None:
    """Make the store's own database, where it is not there, and let the artifacts of all runs lie where the store is
    now: it may have been moved, or copied.
    """
    file = store.home() / "mlflow.db"
    with store.lock("mlflow"):
        run_database.settle(file, lambda made: _make_tables(f"sqlite:///{made}"))
        run_database.anchor(file, EXPERIMENT, PROXIED if remote else _own_artifacts())


def settle_own_database(*, remote: bool) -> None:
    """Make the store's own database ready to be served, with our experiment.

    Args:
        remote: Whether clients on other machines are to reach its artifacts, which then go through the server.
    """
    _settle(remote=remote)
    find_or_make_experiment(_client(own_database(), own_database()), own_database(), remote=remote)


def _own_artifacts() -> str:
    return (store.home() / "mlflow-artifacts").as_uri()


def find_or_make_experiment(api: "MlflowClient", uri: str, name: str = EXPERIMENT, *, remote: bool = False) -> str:
    """Return the id of an experiment of ours on a server."""
    if experiment := api.get_experiment_by_name(name):
        return experiment.experiment_id
    own = PROXIED if remote else _own_artifacts()
    try:
        return api.create_experiment(name, artifact_location=own if uri == own_database() else None)
    except Exception:
        if experiment := api.get_experiment_by_name(name):  # made by another process in between
            return experiment.experiment_id
        raise


def _patience_s() -> float:
    """Return how long an answer is waited for: a stage in a process of its own is part of a run that goes on."""
    return ANSWER_S if multiprocessing.parent_process() is None else UNDER_WAY_S


def require_server(uri: str) -> None:
    """Ask a server once for its experiments.

    Raises:
        NoTrackingServerError: If it does not answer within `ANSWER_S`, of a run under way `UNDER_WAY_S`, or not as
            MLflow does.
    """
    from mlflow.utils import credentials, rest_utils  # noqa: F401 - which takes seconds that are not the server's

    try:
        found = _within(_patience_s(), functools.partial(_experiments, uri))
        if strange := found.keys() - {"experiments", "next_page_token"}:
            raise ValueError(f"it answers with {', '.join(sorted(strange))}")
    except Exception as error:
        said = " ".join(str(_root(error)).replace(uri, without_secrets(uri)).split())[:200]
        raise NoTrackingServerError(
            f"the MLflow server {without_secrets(uri)} cannot be used: {said}; wanted one that runs, or none in"
            " MLFLOW_TRACKING_URI, for a database of the store's own"
        ) from None


def _experiments(uri: str) -> dict[str, Any]:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request_safe

    answer = http_request_safe(
        get_default_host_creds(uri),
        "/api/2.0/mlflow/experiments/search",
        "POST",
        json={"max_results": 1},
        max_retries=0,
        timeout=_patience_s(),
    )
    return answer.json()


def _within(seconds: float, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a call returns, or raise what it raises; a library's own limit counts anew with every byte.

    Raises:
        TimeoutError: If it takes longer; it goes on in a thread that keeps nobody from ending.
    """
    ended: list[Callable[[], dict[str, Any]]] = []

    def run() -> None:
        try:
            found = call()
            ended.append(lambda: found)
        except Exception as error:
            ended.append(functools.partial(_raise, error))

    thread = threading.Thread(target=run, name="lethe-asking", daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return ended[0]()


def _raise(error: Exception) -> dict[str, Any]:
    raise error


def _root(error: BaseException) -> BaseException:
    """Return what an error came from: the layers above say addresses with their passwords."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return error


def without_secrets(uri: str) -> str:
    """Return an address without user and password."""
    if "@" not in uri:
        return uri
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
