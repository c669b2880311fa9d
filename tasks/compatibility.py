"""Stage `compatibility`: the same records in another project's layout."""

from pathlib import Path

from tasks import store, tracking
from tasks.artifacts import Artifact, ProbeRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.storage.plain_files import write_json
from tasks.storage.probe_records import read_records


@stage("compatibility", isolated=False)
def write_open_unlearning(unlearned: ProbeRecords, retrained: ProbeRecords | None, run: str | None = None) -> Artifact:
    """Write TOFU_EVAL.json and TOFU_SUMMARY.json; the former holds questions and answers, so both are kept as forgotten
    text.
    """
    from tasks.reporting.open_unlearning import evaluation, summary

    with tracking.stage_run(run, "compatibility") as nested:
        progress.report(0, 1)
        metrics = evaluation(read_records(unlearned), read_records(retrained) if retrained else None)

        def write(folder: Path) -> None:
            write_json(folder / "TOFU_EVAL.json", metrics)
            write_json(folder / "TOFU_SUMMARY.json", summary(metrics))

        digest = store.put("compatibility", write, sensitivity="forget")
        record = Artifact(kind="compatibility", digest=digest, sensitivity="forget", origin=nested or "")
        for name in ("TOFU_EVAL.json", "TOFU_SUMMARY.json"):
            tracking.log_artifact(nested, store.path(record) / name, "forget", "open-unlearning")
        progress.report(1, 1)
        return record
