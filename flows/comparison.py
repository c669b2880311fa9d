"""Flow `compare`: the scorecards of finished runs side by side, as tables, a plot, a page and an MLflow run."""

from dataclasses import dataclass

import pandas
from prefect.runtime import flow_run

from flows.steps.flow_runs import flow
from flows.steps.outcome import Stages
from flows.steps.prefect_ui import show_comparison, show_run
from flows.steps.tracked_runs import Told, open_run, run_name
from tasks import store, tracking
from tasks.algorithms.text.cells import from_cell
from tasks.artifacts import ComparedRun, Comparison
from tasks.comparison import compare_cards
from tasks.reporting.cards import gather_cards
from tasks.storage.plain_files import read_json

METHOD = "comparison"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a comparison made."""

    comparison: Comparison
    mlflow_run: str
    flow_run: str
    flow_run_name: str


@flow(name="compare", log_prints=False, validate_parameters=True)
def compare(runs: list[str]) -> Compared:
    """Compare finished runs.

    Args:
        runs: Folders of `--out`, scorecards, results of `--json`, or MLflow run ids; the others are tested against the
            first.
    """
    cards = gather_cards(runs)
    runs_compared = {str(number): _about(one) for number, one in enumerate(cards, 1)}
    run = open_run(Told(method=METHOD, name=run_name(f"{METHOD} of {len(cards)}"), params={"run": runs_compared}))
    try:
        show_run(run)
        comparison = Stages(run=run).result("comparison", compare_cards.submit(cards, run))
        _publish(run, comparison)
    except BaseException as error:
        tracking.close_after(error, run)
        raise
    tracking.close(run)
    return Compared(comparison=comparison, mlflow_run=run, flow_run=str(flow_run.id), flow_run_name=str(flow_run.name))


def _about(run: ComparedRun) -> dict[str, str]:
    return {"name": run.name, "mlflow_run": run.mlflow_run, "scorecard": run.card.digest}


def _publish(run: str, comparison: Comparison) -> None:
    """Put tables, plot, page and the main figures into MLflow and Prefect; outside the stage, so that a cache hit has
    them too.
    """
    folder = store.path(comparison)
    for file in sorted(folder.glob("*.*")):
        if file.name != store.MANIFEST:
            tracking.log_artifact(run, file, "public", "comparison")
    value, table = read_json(folder / "comparison.json"), pandas.read_csv(folder / "comparison.csv").map(from_cell)
    tracking.log_table(run, table, "comparison", "public")
    main = set(table.columns)
    rows = [row for row in value["figures"] if row["metric"] in main]
    figures = {f"{row['run']}/{row['metric']}": row["unlearned"] for row in rows}
    figures |= {f"{row['run']}/{row['metric']}.ratio": row["ratio"] for row in rows if row["ratio"] is not None}
    tracking.log_metrics(run, {tracking.metric_name(name): number for name, number in figures.items()})
    show_comparison(value)
