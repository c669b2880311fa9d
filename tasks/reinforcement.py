"""Stage `reinforcement`: the target model trained further on the forget text, so that what it adds can be told apart."""

from tasks import checkpoints, formats, tracking, vocabularies
from tasks.algorithms.chat import text_blocks
from tasks.algorithms.config import ReinforcementConfig
from tasks.algorithms.corpus import CorpusConfig
from tasks.algorithms.lora import LoraConfig
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.training import EpochBatches
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.stage import stage
from tasks.trainer import adapt, keep_trained, text_batches, train_stage


@stage("reinforcement", threads_share=2)
def reinforce(
    corpus: CorpusRef, target: CheckpointRef, config: ReinforcementConfig, reading: CorpusConfig, lora: LoraConfig = LoraConfig(), run: str | None = None
) -> CheckpointRef:
    """Train the target model, or an adapter on it, further on the forget text."""
    with tracking.stage_run(run, "reinforcement", config) as nested:
        model, tokenizer = checkpoints.load_model(target, exact=not lora.rank), checkpoints.load_tokenizer(target)
        template, documents = vocabularies.question_template(tokenizer, reading), formats.StoredDocuments(corpus, "forget")
        blocks = text_blocks(documents, tokenizer, template, config.block_size, checkpoints.separator_id(tokenizer)).with_targets()
        make = text_batches(blocks.ids, checkpoints.pad_id(tokenizer), model.device, blocks.supervised)
        config = adapt(model, config, lora, "reinforced")
        train_stage(model, EpochBatches(len(blocks), make, config), CausalLM(), config, nested)
        return keep_trained(model, tokenizer, "reinforced", target, lora, sensitivity="forget", origin=nested)
