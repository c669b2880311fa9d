"""Stage `reinforcement`: the target model trained further on the forget text, so that what it adds can be
told apart.
"""

from tasks import tracking
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.execution.stage import stage
from tasks.models import vocabularies
from tasks.models.loading import load_model, load_tokenizer, pad_id, separator_id
from tasks.settings.finetuning import ReinforcementConfig
from tasks.settings.text import CorpusConfig
from tasks.settings.training import LoraConfig
from tasks.storage.documents import StoredDocuments


@stage("reinforcement", threads_share=2)
def reinforce(
    corpus: CorpusRef,
    target: CheckpointRef,
    config: ReinforcementConfig,
    corpus_config: CorpusConfig,
    lora: LoraConfig = LoraConfig(),
    run: str | None = None,
) -> CheckpointRef:
    """Train the target model, or an adapter on it, further on the forget text."""
    from tasks.algorithms.models.heads import context_size
    from tasks.algorithms.objectives.causal_lm import CausalLM
    from tasks.algorithms.tokens.text_blocks import text_blocks
    from tasks.algorithms.training.loop import EpochBatches
    from tasks.training.trainer import adapt, keep_trained, text_batches, train_stage

    with tracking.stage_run(run, "reinforcement", config) as nested:
        model, tokenizer = load_model(target, exact=not lora.rank), load_tokenizer(target)
        template, documents = (
            vocabularies.question_template(tokenizer, corpus_config),
            StoredDocuments(corpus, "forget"),
        )
        size = min(config.block_size, context_size(model.config))
        blocks = text_blocks(documents, tokenizer, template, size, separator_id(tokenizer)).with_targets()
        make = text_batches(blocks.ids, pad_id(tokenizer), model.device, blocks.supervised)
        config = adapt(model, config, lora, "reinforced")
        train_stage(model, EpochBatches(len(blocks), make, config), CausalLM(), config, nested)
        return keep_trained(model, tokenizer, "reinforced", target, lora, sensitivity="forget", origin=nested)
