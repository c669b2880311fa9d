"""Scorecards of finished runs, from wherever they are: a folder of `--out`, a file, or a run of the tracking server."""

import difflib
import importlib.metadata
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasks import store, tracking
from tasks.algorithms.text.json_values import parse_json
from tasks.artifacts import BadInputError, ComparedRun, Scorecard
from tasks.storage.plain_files import read_json, write_json

CARD, ITEMS = "scorecard.json", "items.parquet"
LEAST_PREFIX = 8
"""Letters of a run id that are enough to name it."""
JUDGED = "tags.`lethe.verdict.passed` != ''"
"""Runs that ended with a scorecard."""
OFFERED = 5
"""Runs that are listed where none is found."""
LARGEST = 1e300
"""What every figure is below; cards hold no infinite ones."""
LATEST = 50
"""Runs among which a near one is looked for."""
WANTED = f"a folder of --out, a {CARD}, a file of --json, or {LEAST_PREFIX} or more letters of an MLflow run id"


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A scorecard found for one word of the command line, and its run."""

    name: str
    card: dict[str, Any]
    items: Path | None = None
    seed: str = ""
    mlflow_run: str = ""


def gather_cards(words: Sequence[str]) -> list[ComparedRun]:
    """Find the scorecards of runs and put copies into the store.

    Args:
        words: Folders, files, or MLflow run ids or unique beginnings of them.

    Returns:
        One record a word, in order, with names of their own.

    Raises:
        BadInputError: If a word leads to no scorecard, or to several, or there are fewer than two words.
    """
    if len(words) < 2:
        raise BadInputError(f"compare was given {len(words)} run; wanted two or more")
    with tempfile.TemporaryDirectory() as folder:
        return _distinct([_stored(_find(word, Path(folder))) for word in words])


def find_file(word: str) -> Path | None:
    """Return the file that a word of the command line names, in a folder or by itself; None where there is none.

    Raises:
        BadInputError: If it is a folder without a scorecard.
    """
    path = Path(word).expanduser()
    if path.is_dir():
        if not (path / CARD).is_file():
            raise BadInputError(
                f"{word} holds no {CARD}; wanted a folder that --out wrote, or {WANTED.partition(', ')[2]}"
            )
        path = path / CARD
    return path if path.is_file() else None


def read_card(path: Path) -> dict[str, Any]:
    """Return the scorecard in a file, or in a result.

    Raises:
        BadInputError: If there is none.
    """
    content = _content(path)
    return _checked(content.get("scorecard") if _is_result(content) else content, path)


def _content(path: Path) -> Any:
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        raise BadInputError(f"{path} is no JSON; wanted {WANTED}") from None


def _is_result(content: Any) -> bool:
    return isinstance(content, dict) and content.get("schema") == "lethe.result.v1"


def _find(word: str, scratch: Path) -> _Entry:
    path = find_file(word)
    return _of_file(path, scratch) if path else _of_run(find_run(word), scratch)


def _of_file(path: Path, scratch: Path) -> _Entry:
    """Read a scorecard, or a result that holds one."""
    content = _content(path)
    if _is_result(content):
        card, report = _checked(content.get("scorecard"), path), Path(str(content.get("report")))
        entry = _Entry(name=path.stem, card=card, items=_items_beside(report.parent / CARD, card))
        runs = (
            search_runs(f"attributes.run_id = '{content['mlflow_run']}'", 1)
            if re.fullmatch("[0-9a-f]{32}", str(content.get("mlflow_run")))
            else []
        )
        return _with_run(entry, runs[0], scratch) if runs else entry
    card = _checked(content, path)
    return _Entry(
        name=path.resolve().parent.name if path.name == CARD else path.stem, card=card, items=_items_beside(path, card)
    )


def _items_beside(path: Path, card: dict[str, Any]) -> Path | None:
    """Return the items in the folder of a card's file, if that file still holds this card.

    Raises:
        BadInputError: If they are damaged.
    """
    items = path.with_name(ITEMS)
    try:
        if not items.is_file() or not path.is_file() or read_json(path) != card:
            return None
    except (ValueError, RecursionError):  # it holds something else by now
        return None
    check_items(items)
    return items


def check_items(file: Path) -> None:
    """Refuse items that cannot be compared.

    Raises:
        BadInputError: If the file is damaged, or has not the columns of items.
    """
    import pandas
    import pyarrow

    try:
        frame = pandas.read_parquet(file)
        frame.value.astype(float)
        frame[["metric", "model", "cluster", "item", "statistic"]].astype(str)
    except (pyarrow.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError, MemoryError) as error:
        raise BadInputError(f"{file} is damaged ({type(error).__name__}); wanted the items that --out wrote") from None


def _checked(card: Any, source: str | Path) -> dict[str, Any]:
    """Return the card if it is one that can be compared."""
    schema = card.get("schema") if isinstance(card, dict) else None
    if schema != "scorecard.v1":
        raise BadInputError(
            f"{source} holds schema {schema}; wanted scorecard.v1, or lethe.result.v1 with a scorecard in it"
        )
    try:
        whole = _is_whole(card)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise BadInputError(
            f"{source} is a scorecard without metrics, verdict or provenance; wanted a whole scorecard.v1"
        )
    return card


def _is_whole(card: dict[str, Any]) -> bool:
    """Return whether a card has what is compared, and numbers where there should be some."""
    spent = card.get("cost", {}).values()
    rows = card["metrics"].values()
    bounds = [row["ci95"] or (None, None) for row in rows]
    figures = [row[name] for row in rows for name in ("target", "unlearned", "retrained", "n")]
    figures += [bound for both in bounds for bound in both]
    return (
        all(isinstance(part, dict) for part in (card["verdict"], card["provenance"], *rows))
        and all(isinstance(bound, (list, tuple)) and len(bound) == 2 for bound in bounds)
        and all(number is None or _is_number(number) for number in figures)
        and all(_is_number(seconds) for seconds in spent)
        and {"passed", "evidence"} <= set(card["verdict"])
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST


def _of_run(run: Any, scratch: Path) -> _Entry:
    file = download(run, f"scorecard/{CARD}", scratch)
    if file is None:
        raise BadInputError(f"run {run.info.run_id} keeps no scorecard/{CARD}; wanted {WANTED} that does")
    return replace(_with_run(_of_file(file, scratch), run, scratch), name=run.info.run_name)


def _with_run(entry: _Entry, run: Any, scratch: Path) -> _Entry:
    """Add what the tracking server knows."""
    return replace(
        entry,
        items=entry.items or download(run, f"scorecard/{ITEMS}", scratch),
        seed=_seed(run.data.params),
        mlflow_run=run.info.run_id,
    )


def _seed(params: dict[str, str]) -> str:
    """Return the one seed of a run's settings; its stages have the same one unless the user set others."""
    return ", ".join(sorted({value for name, value in params.items() if name.rpartition(".")[2] == "seed"}))


def find_run(word: str) -> Any:
    """Return the one judged run whose id begins so, as MLflow has it.

    Raises:
        BadInputError: If there is none, or several.
    """
    runs = (
        search_runs(f"attributes.run_id LIKE '{word}%' and {JUDGED}", OFFERED)
        if re.fullmatch(rf"[0-9a-f]{{{LEAST_PREFIX},32}}", word)
        else []
    )
    if len(runs) > 1:
        raise BadInputError(
            f"{word}: several runs have such an id; wanted one of {', '.join(run.info.run_id for run in runs)}"
        )
    if not runs:
        raise BadInputError(f"{word}: no such file, folder or run; wanted {WANTED}; {_offer(word)}")
    return runs[0]


def search_runs(query: str, most: int, order: Sequence[str] = ()) -> list[Any]:
    """Return our runs that answer a query of MLflow's, the latest first unless an order is given."""
    api = tracking.client()
    experiment = api.get_experiment_by_name(tracking.EXPERIMENT)
    where = [experiment.experiment_id] if experiment else []
    return list(api.search_runs(where, query, max_results=most, order_by=[*order])) if where else []


def _offer(word: str) -> str:
    """Name the runs that may be meant: those whose id or name is near, then the latest."""
    latest = {run.info.run_id: run.info.run_name for run in search_runs(JUDGED, LATEST)}
    spoken = {text: run for run, name in latest.items() for text in (run, run[: len(word)], name)}
    near = [spoken[text] for text in difflib.get_close_matches(word, spoken, OFFERED)]
    chosen = list(dict.fromkeys([*near, *latest]))[:OFFERED]
    return (
        "known runs: " + ", ".join(f"{run[:12]} ({latest[run]})" for run in chosen)
        if chosen
        else "no run with a scorecard is known yet"
    )


def download(run: Any, path: str, scratch: Path) -> Path | None:
    """Copy an artifact of a run and return where it is now, or None where the run has no such artifact."""
    api, name = tracking.client(), run.info.run_id
    if path not in [file.path for file in api.list_artifacts(name, path.rpartition("/")[0])]:
        return None
    return Path(api.download_artifacts(name, path, tempfile.mkdtemp(dir=scratch)))


def _stored(entry: _Entry) -> ComparedRun:
    verdict, origin = entry.card["verdict"], entry.card["provenance"]
    digest = store.put("scorecards", lambda folder: _copy(entry, folder), sensitivity="public")
    card = Scorecard(
        kind="scorecards",
        digest=digest,
        sensitivity="public",
        passed=bool(verdict["passed"]),
        evidence=str(verdict["evidence"]),
    )
    seed = entry.seed or str(origin.get("seed", ""))
    return ComparedRun(
        name=entry.name, method=str(origin.get("method", "")), seed=seed, card=card, mlflow_run=entry.mlflow_run
    )


def _copy(entry: _Entry, folder: Path) -> None:
    write_json(folder / CARD, entry.card)
    if entry.items:
        shutil.copy(entry.items, folder / ITEMS)


def _distinct(runs: list[ComparedRun]) -> list[ComparedRun]:
    """Number the names that occur more than once."""
    names = [run.name for run in runs]
    return [
        replace(run, name=f"{run.name} ({names[: place + 1].count(run.name)})") if names.count(run.name) > 1 else run
        for place, run in enumerate(runs)
    ]


def versions() -> dict[str, str]:
    """Return the versions of what a card's figures rest on."""
    names = ("lethe", "torch", "transformers", "prefect", "mlflow", "lm-eval", "rouge-score")
    return {name: importlib.metadata.version(name) for name in names}
