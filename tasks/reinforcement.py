"""Stage `reinforcement`: the target model trained further on the forget text, so that what it adds can be told apart."""

from tasks import checkpoints, formats, tracking
from tasks.algorithms.blocks import encode, pack_tokens, prefix_ids
from tasks.algorithms.config import ReinforcementConfig
from tasks.algorithms.corpus import CorpusConfig, render_document
from tasks.algorithms.objectives.causal_lm import CausalLM
from tasks.algorithms.training import EpochBatches
from tasks.artifacts import CheckpointRef, CorpusRef
from tasks.stage import stage
from tasks.trainer import text_batches, train_stage


@stage("reinforcement", threads_share=2)
def reinforce(corpus: CorpusRef, target: CheckpointRef, config: ReinforcementConfig, reading: CorpusConfig, run: str | None = None) -> CheckpointRef:
    """Train the target model further on the forget text."""
    with tracking.stage_run(run, "reinforcement", config) as nested:
        model, tokenizer = checkpoints.load_model(target), checkpoints.load_tokenizer(target)
        documents = [encode(tokenizer, render_document(item, reading.qa_template))[0] for item in formats.read_documents(corpus, "forget")]
        blocks = pack_tokens(documents, config.block_size, checkpoints.separator_id(tokenizer), prefix_ids(tokenizer))
        blocks = [block for block in blocks if len(block) > 1]
        train_stage(model, EpochBatches(len(blocks), text_batches(blocks, checkpoints.pad_id(tokenizer), model.device), config), CausalLM(), config, nested)
        return checkpoints.save_checkpoint(model, tokenizer, "reinforced", sensitivity="forget", origin=nested)
