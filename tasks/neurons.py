"""Stage `neurons`: which neurons of one layer carry facts, and whether the facts go with them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.artifacts import CheckpointRef, EditSet, NeuronReport, TraceRecords
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.inputs.edit_schemas import mark_subject
from tasks.models.loading import load_model, load_tokenizer
from tasks.settings.edit_request import EditRequest
from tasks.settings.neurons import NeuronConfig
from tasks.storage.edit_files import stored_edits
from tasks.storage.plain_files import write_json

if TYPE_CHECKING:
    from tasks.algorithms.editing.ablation import Ablated, AblationEffect
    from tasks.algorithms.editing.neurons import Neurons
    from tasks.algorithms.editing.prompts import EditPrompt

FILE = "neurons.json"


@stage("neurons")
def find_fact_neurons(
    target: CheckpointRef, facts: EditSet, traced: TraceRecords, config: NeuronConfig, run: str | None = None
) -> NeuronReport:
    """Find the neurons of the traced layer that carry each fact which the model knows, and set them to zero.

    They are chosen by the fact's prompt and every other paraphrase, and tried on the rest: a fact with no more than
    one wording is tried on that one.

    Args:
        target: The model.
        facts: With objects, or whatever the model says.
        traced: Says the layer.
        config: How neurons are found.
        run: Tracking run.
    """
    import torch

    from tasks.algorithms.editing.ablation import ablate_fact, ablation_effect
    from tasks.algorithms.editing.knowledge import answer_of
    from tasks.algorithms.editing.neurons import find_neurons

    with tracking.stage_run(run, "neurons", config) as nested:
        model, tokenizer = load_model(target), load_tokenizer(target)
        generator = torch.Generator().manual_seed(config.seed)
        requests, rows, ablated = stored_edits(facts), [], []
        wanted = min(config.facts, len(requests))
        for request in requests:
            answer = answer_of(model, tokenizer, request)
            if len(rows) == wanted or not answer.known or not (request.object or answer.text):
                continue  # white space, or a part of a letter, is no object
            chosen_by, tried_on = wordings(tokenizer, request, request.object or answer.text)
            found = find_neurons(model, chosen_by, traced.layer, config)
            one = ablate_fact(model, tried_on, traced.layer, found.chosen, config, generator) if found.chosen else None
            rows.append(_row(request, answer.text, found, one))
            ablated += [one] if one else []
            progress.report(len(rows), wanted)
        effect = ablation_effect(ablated, config.seed) if ablated else None
        if effect:
            drops = {"chosen_drop": effect.chosen.mean, "others_drop": effect.others.mean, "facts": effect.facts}
            tracking.log_metrics(nested, {name: float(value) for name, value in drops.items()})
        digest = store.put("neurons", lambda folder: _write(folder, traced.layer, rows, effect), sensitivity="forget")
        return NeuronReport(
            kind="neurons",
            digest=digest,
            sensitivity="forget",
            origin=nested or "",
            facts=len(rows),
            layer=traced.layer,
        )


def wordings(tokenizer: Any, request: EditRequest, answer: str) -> "tuple[list[EditPrompt], list[EditPrompt]]":
    """Return the wordings of a fact, with its object, by which neurons are chosen, and those to try them on."""
    from tasks.algorithms.editing.prompts import edit_prompt

    prompts = [request.prompt]
    for paraphrase in request.paraphrases:
        if paraphrase.count(request.subject) == 1:  # another mention would go on saying who is meant
            with suppress(ValueError):  # a part of another word
                prompts.append(mark_subject(paraphrase, request.subject))
    rows = [edit_prompt(tokenizer, prompt, request.subject, answer) for prompt in prompts]
    return rows[::2], rows[1::2] or rows


def _row(request: EditRequest, said: str, found: "Neurons", ablated: "Ablated | None") -> dict[str, Any]:
    """Return what is kept of one fact."""
    attribution = found.attribution.mean(dim=0)
    neurons = [
        {
            "neuron": number,
            "attribution": attribution[number].item(),
            "activation": found.activation[:, number].mean().item(),
            "correlation": found.correlation[number].item(),
        }
        for number in found.chosen
    ]
    return {
        "subject": request.subject,
        "prompt": request.prompt,
        "object": request.object or said,
        "probability": found.probability.mean().item(),
        "without_layer": found.without.mean().item(),
        "gap": found.gap,
        "points": found.points,
        "neurons": neurons,
        "ablated": asdict(ablated) if ablated else None,
    }


def _write(folder: Path, layer: int, rows: Sequence[dict[str, Any]], effect: "AblationEffect | None") -> None:
    summary = None
    if effect and effect.facts > 1:
        ratio = effect.ratio if effect.others.mean > 0 else None
        summary = {**asdict(effect), "ratio": ratio, "apart": effect.apart}
    write_json(folder / FILE, {"layer": layer, "effect": summary, "facts": list(rows)})
