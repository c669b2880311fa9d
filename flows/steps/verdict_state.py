"""The verdict as the final state of a flow run: whoever looks at the list of runs, or waits for an event, need not open
one.

The message names the tier of evidence and the checks that failed, and nothing of what was forgotten.
"""

from typing import Any, Protocol

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from tasks import store
from tasks.artifacts import Scorecard
from tasks.storage.plain_files import read_json

PASSED, FAILED = "lethe.verdict.passed", "lethe.verdict.failed"
"""Events of a flow run, one at its end; an example of what to do on them: `deployments/automations.yaml`."""


class Judged(Protocol):
    """What a flow hands back that judges a model."""

    scorecard: Scorecard
    mlflow_run: str


def concluded(outcome: Judged, require_verdict: bool = False) -> State[Any]:
    """Return the state that a flow ends in, which hands back `outcome`, and tell the verdict as an event.

    Args:
        outcome: What the flow made.
        require_verdict: Whether a verdict that is not passed makes the flow run a failed one; what it made is kept, and
            nothing is tried again.
    """
    verdict = read_json(store.path(outcome.scorecard) / "scorecard.json")["verdict"]
    message = in_words(verdict)
    _emit(verdict, message, outcome.mlflow_run)
    if require_verdict and not verdict["passed"]:
        return failed_for_good(message)
    return Completed(message=message, data=outcome)


def failed_for_good(message: str) -> State[Any]:
    """Return a failed state that is not tried again; what was made is kept."""
    _try_no_more()
    return Failed(message=message)


def in_words(verdict: dict[str, Any]) -> str:
    """Return a verdict in one line: whether it passed, at which tier, and if not which checks fail."""
    if verdict["passed"]:
        return f"Verdict passed, evidence {verdict['evidence']}"
    why = ", ".join(failed(verdict)) or "too little was measured"
    return f"Verdict not passed, evidence {verdict['evidence']}, checks that fail: {why}"


def failed(verdict: dict[str, Any]) -> list[str]:
    """Return the names of the checks that failed, in their order."""
    return [name for name, held in verdict.items() if held is False and name != "passed"]


def _emit(verdict: dict[str, Any], message: str, mlflow_run: str) -> None:
    emit_event(
        event=PASSED if verdict["passed"] else FAILED,
        resource={"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": flow_run.name},
        payload={"message": message, "failed": failed(verdict), "mlflow_run": mlflow_run},
    )


def _try_no_more() -> None:
    """Let the server take a failed state for the end, however many retries the flow has: the verdict would be the
    same.
    """
    with get_client(sync_client=True) as client:
        policy = client.read_flow_run(flow_run.id).empirical_policy
        client.update_flow_run(flow_run.id, empirical_policy=policy.model_copy(update={"retries": 0}))
