"""lm-eval as the engine of benchmarks: tasks from local files or from the hub, one model's answers item by item.

Importing this module takes lm-eval's seconds, so it is imported where it is used.
"""

import contextlib
import io
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import lm_eval.tasks
import yaml
from datasets.exceptions import DatasetsError
from huggingface_hub.utils import logging as hub_logging
from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from tasks.artifacts import BadInputError
from tasks.benchmarks.local_files import FORMATS, definition
from tasks.settings.measuring import BenchmarkingConfig

_log = logging.getLogger(__name__)
FEWSHOT_SEED = 1234
"""Seed of the draw of solved examples; as in lm-eval's `simple_evaluate`."""
SHIPPED = {"sst2": "glue/sst2/default.yaml"}
"""Benchmark -> file below lm-eval's tasks that ours changes."""
Request = tuple[tuple[str, str], list[int], list[int]]
"""Prompt and answer as texts, tokens of the prompt, tokens of the answer."""


class CuttingLM(HFLM):
    """lm-eval's model, which also keeps which requests were cut on the left because they exceed the context.

    lm-eval cuts the prompt itself, and fails where an answer alone exceeds the context; here that is cut on the left
    too.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cut: set[tuple[str, str]] = set()

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        # the last token is only predicted, so one more than the context fits
        self.cut |= {texts for texts, prompt, answer in requests if len(prompt) + len(answer) > self.max_length + 1}
        return super()._loglikelihood_tokens([self._fitted(request) for request in requests], disable_tqdm, override_bs)

    def _fitted(self, request: Request) -> Request:
        texts, prompt, answer = request
        if len(answer) <= self.max_length:
            return request
        whole = (prompt + answer)[-(self.max_length + 1) :]
        return texts, whole[:1], whole[1:]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the libraries' bars and lines, which would break ours."""
    datasets.disable_progress_bars()
    hub_logging.set_verbosity_error()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def local_tasks(
    rows: dict[str, Sequence[dict[str, Any]]], folder: Path, gaps: Mapping[str, str | None] | None = None
) -> dict[str, Task]:
    """Return benchmark -> lm-eval's task over its records.

    Args:
        rows: Benchmark -> records; they are written below `folder`.
        folder: May go afterwards.
        gaps: Benchmark -> what stands between prompt and answer, where that is not what the task's file says.
    """
    tasks = folder / "tasks"
    tasks.mkdir()
    for name, records in rows.items():
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
        # what is asked must not outlive the stage
        source = {"cache_dir": str(folder / "cache"), "data_files": {"test": str(data)}}
        gap = (gaps or {}).get(name)
        overrides = {"target_delimiter": gap} if gap is not None else {}
        overrides |= {
            "include": [*shipped(name), str(definition(name))],
            "task": f"lethe_{name}",
            "dataset_kwargs": source,
        }
        (tasks / f"lethe_{name}.yaml").write_text(yaml.safe_dump(overrides), encoding="utf-8")
    with _quietly():
        manager = TaskManager(include_path=str(tasks), include_defaults=False)
        loaded = manager.load([f"lethe_{name}" for name in rows])["tasks"]
        return {name: loaded[f"lethe_{name}"] for name in rows}


def shipped(name: str) -> list[str]:
    """Return lm-eval's own file of a benchmark, where ours says only what is otherwise."""
    return [str(Path(lm_eval.tasks.__file__).parent / SHIPPED[name])] if name in SHIPPED else []


def hub_tasks(names: Sequence[str]) -> dict[str, Task]:
    """Return benchmark -> lm-eval's own task of that name, with its data from the hub or the hub's local cache.

    Raises:
        BadInputError: If the hub does not give the data.
    """
    if not names:
        return {}
    with _quietly():
        manager = TaskManager()
        return {name: _hub_task(manager, name) for name in names}


def _hub_task(manager: TaskManager, name: str) -> Task:
    try:
        return manager.load([name])["tasks"][name]
    except (OSError, DatasetsError) as error:
        needed = f"a network, or --benchmark-data DIR with {' or '.join(FORMATS[name].files)}"
        raise BadInputError(
            f"benchmark {name}: the hub did not give its data ({' '.join(str(error).split())}); wanted {needed}"
        ) from None


def language_model(model: Any, tokenizer: Any, config: BenchmarkingConfig, *, begins: bool = False) -> CuttingLM:
    """Return the model as lm-eval wants it; where a prompt `begins` as its chat template has it, no token is put before
    it.
    """
    with _quietly():
        return CuttingLM(
            pretrained=model, tokenizer=tokenizer, batch_size=config.batch_size, add_bos_token=False if begins else None
        )


def run_task(
    model: CuttingLM, name: str, task: Task, config: BenchmarkingConfig
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Run one benchmark.

    lm-eval's `simple_evaluate` would also list every installed package, which takes longer than a small task; the
    numbers are the same.

    Returns:
        `<name>/<metric>` -> value, with `<metric>_stderr` and `truncated_share`; and a row an item: task, item and
        cluster (lm-eval's document id, unless the record names a cluster), acc, acc_norm (not a number where the task
        has none), truncated.
    """
    task.set_config(key="num_fewshot", value=config.num_fewshot)
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    with _quietly():
        results = evaluate(
            model, {"tasks": {task.task_name: task}, "groups": {}, "group_map": {}}, limit=config.limit or None
        )
    items = [_item(model, name, sample) for sample in results["samples"][task.task_name]]
    share = sum(item["truncated"] for item in items) / len(items)
    if share:
        _log.warning(
            "benchmark %s: %.1f %% of the examples exceed the context of %d tokens and were cut on the left",
            name,
            100 * share,
            model.max_length,
        )
    metrics = {
        key.split(",")[0]: value
        for key, value in results["results"][task.task_name].items()
        if "," in key and isinstance(value, float)
    }
    return {f"{name}/{metric}": float(value) for metric, value in {**metrics, "truncated_share": share}.items()}, items


def _item(model: CuttingLM, name: str, sample: dict[str, Any]) -> dict[str, Any]:
    scores = {metric: float(sample.get(metric, math.nan)) for metric in ("acc", "acc_norm")}
    item, cut = int(sample["doc_id"]), any(tuple(texts) in model.cut for texts in sample["arguments"])
    return {"task": name, "item": item, "cluster": int(sample["doc"].get("cluster", item)), **scores, "truncated": cut}
