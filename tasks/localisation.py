"""Stage `localisation`: the layers whose MLPs hold the topic's facts, by causal trace, or as many others by chance.

A layer counts by the average indirect effect of what its MLPs write at the subject's last token, over facts that the
text states and the model knows: that is where a fact is looked up.

Source: Guo et al. 2024, arXiv:2410.12949: unlearning that trains only the MLPs which look facts up withstands
relearning better than any that trains all weights or those that write the answer. Deviation: they find these MLPs by
probes and by path patching from the heads that read the fact; here it is the trace of Meng et al. 2022,
arXiv:2202.05262, read where the fact is looked up and not where the answer is written. The control is drawn from the
layers that the trace does not name: among all it would share some of them, and the less deep the model, the more.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import store, tracking
from tasks.algorithms.text.anchors import anchor_expression
from tasks.artifacts import AnchorTable, BadInputError, CheckpointRef, CorpusRef, Localisation
from tasks.execution import progress
from tasks.execution.stage import stage
from tasks.models.loading import load_model, load_tokenizer
from tasks.models.vocabularies import question_template
from tasks.settings.edit_request import EditRequest
from tasks.settings.localisation import LocalisationConfig
from tasks.settings.text import CorpusConfig
from tasks.storage.anchor_tables import read_dictionary
from tasks.storage.documents import StoredDocuments
from tasks.storage.plain_files import write_json

if TYPE_CHECKING:
    from tasks.algorithms.editing.effects import Effect
    from tasks.algorithms.editing.known_facts import KnownFact

FORGET, LAYERS = "forget", "layers.json"
ASKED = 20
"""Statements of the text that the model is asked for, at most, for each fact that is wanted."""


@stage("localisation")
def localise(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    target: CheckpointRef,
    config: LocalisationConfig,
    corpus_config: CorpusConfig,
    run: str | None = None,
) -> Localisation:
    """Trace facts of the forget text that the target model knows, and name the layers that are to be trained.

    Raises:
        BadInputError: If the text states nothing of the kind, the model knows none of it, or its MLPs cannot be found.
    """
    from tasks.algorithms.editing.effects import EDITED, LAST_SUBJECT, average_effects
    from tasks.algorithms.editing.known_facts import trace_known

    with tracking.stage_run(run, "localisation", config) as nested:
        model, tokenizer = load_model(target), load_tokenizer(target)
        count = _wanted(model, config)
        asked = _statements(corpus, dictionary, tokenizer, model, config, corpus_config)
        known, unknown = trace_known(
            model, tokenizer, asked, config.tracing, states=(EDITED,), at_subject=True, on_fact=progress.report
        )
        if not known:
            raise BadInputError(
                f"localisation.by is {config.by!r}, and the model knows none of {len(unknown)} statements of the forget"
                " text that were asked: its first choice after each is another word; wanted a text that it knows, more"
                " of it, or --set localisation.by=all, which trains all weights"
            )
        effects = [each for each in average_effects([fact.trace for fact in known]) if each.role == LAST_SUBJECT]
        return _keep(known, unknown, effects, count, config, tokenizer, nested)


def _wanted(model: Any, config: LocalisationConfig) -> int:
    """Return how many layers are named.

    Raises:
        BadInputError: If the model has too few, or its MLPs cannot be found.
    """
    from tasks.algorithms.models.architectures import decoder_layers

    try:
        return config.count(len(decoder_layers(model)))
    except ValueError as error:
        raise BadInputError(str(error)) from None


def _statements(
    corpus: CorpusRef,
    dictionary: AnchorTable,
    tokenizer: Any,
    model: Any,
    config: LocalisationConfig,
    corpus_config: CorpusConfig,
) -> list[EditRequest]:
    """Return what the forget text states, a sample of it, in tokens of this model.

    Raises:
        BadInputError: If it states nothing.
    """
    from tasks.algorithms.editing.prompts import fitting
    from tasks.algorithms.editing.topic_facts import topic_facts
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.tokens.alignment import prefix_ids

    template, beginning = question_template(tokenizer, corpus_config), tokenizer.decode(prefix_ids(tokenizer))
    expression = anchor_expression(read_dictionary(dictionary))
    stated = topic_facts(StoredDocuments(corpus, FORGET), expression, template, beginning, config.seed)
    found = fitting(tokenizer, stated[: ASKED * config.tracing.facts], context_size(model.config))
    if not found:
        raise BadInputError(
            f"localisation.by is {config.by!r}, and the forget text names nothing after another name of the topic, and"
            " answers no question about one; wanted text that does, more anchors (--anchors FILE), or --set"
            " localisation.by=all, which trains all weights"
        )
    return found


def _keep(
    known: "Sequence[KnownFact]",
    unknown: Sequence[EditRequest],
    effects: "Sequence[Effect]",
    count: int,
    config: LocalisationConfig,
    tokenizer: Any,
    run: str | None,
) -> Localisation:
    """Name the layers, and store and log what they were found by."""
    from tasks.algorithms.editing.effects import named_layers, other_layers
    from tasks.reporting.trace_figures import average_picture, write_pictures
    from tasks.storage.trace_files import traced_fact, write_findings

    named = config.by == "trace"
    layers = named_layers(effects, count) if named else other_layers(effects, count, config.seed)
    means = [effect.mean for effect in effects]
    found = {"by": config.by, "layers": layers, "effects": means}

    def write(folder: Path) -> None:
        facts = [traced_fact(fact, tokenizer) for fact in known]
        write_findings(folder, facts, effects, [request.question for request in unknown])
        write_pictures(folder, {"average.png": average_picture(effects, len(known))})
        write_json(folder / LAYERS, found)

    digest = store.put("localisations", write, sensitivity="forget")
    record = Localisation(
        kind="localisations",
        digest=digest,
        sensitivity="forget",
        origin=run or "",
        by=config.by,
        layers=tuple(layers),
        effects=tuple(means),
        facts=len(known),
        unknown=len(unknown),
    )
    tracking.log_metrics(run, {"facts": float(len(known)), "unknown": float(len(unknown))})
    tracking.log_metrics(run, {f"effect/layer_{layer}": mean for layer, mean in enumerate(means)})
    for picture in sorted(store.path(record).glob("*.png")):
        tracking.log_artifact(run, picture, "forget", "traces")
    return record
