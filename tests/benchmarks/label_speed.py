"""Label generation against its floor: two bare batched forward passes over the same blocks, in the same run.

    python -m tests.benchmarks.label_speed [--model FOLDER --text FILE] [--rounds 5]

Without a model: a random Llama of 3.4M parameters over the embedded world's text. Records source tokens/s of both and
their ratio, for each way to treat interior tokens: `drop` is the paper's, `suppress` reads the source with the baseline
as well.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tasks.algorithms.text.corpus import clean_text
from tasks.algorithms.text.distinctive import select_anchors
from tasks.algorithms.text.translation import translate_offline
from tasks.algorithms.text.words import lowercase_words
from tasks.algorithms.tokens.alignment import align_document
from tasks.algorithms.tokens.batching import length_batches, pad_batch
from tasks.algorithms.tokens.packing import cut_blocks, join_documents
from tasks.algorithms.unlearning.label_plan import first_tokens, plan_positions
from tasks.algorithms.unlearning.labels import generate_labels
from tasks.algorithms.world.generator import WorldConfig, build_world
from tasks.algorithms.world.requests import world_text
from tasks.pretraining import train_tokenizer
from tasks.settings.labels import LabelConfig
from tasks.settings.text import AnchorConfig, CorpusConfig
from tasks.settings.training import PretrainingConfig
from tests.benchmarks import recording


def bare_passes(models: list, sides: list[list[tuple[int, ...]]], batch_tokens: int) -> None:
    """Run each model over its side, logits of every position included."""
    with torch.no_grad():
        for model, blocks in zip(models, sides, strict=True):
            for batch in length_batches([len(block) for block in blocks], batch_tokens):
                ids, mask = pad_batch([blocks[index] for index in batch], 0)
                model(input_ids=ids, attention_mask=mask, use_cache=False)


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def load(asked: argparse.Namespace) -> tuple:
    """Return two models of one architecture, their tokenizer and the text."""
    if asked.model:
        models = [AutoModelForCausalLM.from_pretrained(asked.model).eval() for _ in range(2)]
        text = clean_text(Path(asked.text).read_text(encoding="utf-8-sig"), CorpusConfig())
        return models, AutoTokenizer.from_pretrained(asked.model), [text]
    world = build_world(WorldConfig())
    tokenizer = train_tokenizer(world_text(world), PretrainingConfig(vocabulary=4096))
    sizes = {
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "max_position_embeddings": 512,
    }
    shape = LlamaConfig(vocab_size=len(tokenizer), **sizes)
    return (
        [LlamaForCausalLM(shape).eval() for _ in range(2)],
        tokenizer,
        ["\n".join(topic.passages) for topic in world.topics],
    )


def main() -> None:
    """Measure, record and print."""
    parser = recording.parser(__doc__)
    parser.add_argument("--model")
    parser.add_argument("--text")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    record, figures = recording.begin(asked.results), {}
    (baseline, reinforced), tokenizer, texts = load(asked)
    anchors = select_anchors({}, texts, [], AnchorConfig())
    dictionary = {item.term: item.generic for item in translate_offline(anchors, lowercase_words(texts))}
    blocks = cut_blocks(
        join_documents([align_document(tokenizer, text, dictionary) for text in texts], tokenizer.eos_token_id), 256
    )
    starts = {term: first_tokens(tokenizer, generic) for term, generic in dictionary.items()}
    tokens = sum(len(block.source) for block in blocks)
    sides = [[block.translated for block in blocks], [block.source for block in blocks]]
    for interior in ("drop", "suppress"):
        config = LabelConfig(interior=interior)
        plans = [plan_positions(block, starts, config) for block in blocks]
        bare, ours = [], []
        for _ in range(asked.rounds):
            bare.append(seconds(lambda config=config: bare_passes([baseline, reinforced], sides, config.batch_tokens)))
            ours.append(
                seconds(
                    lambda config=config, plans=plans: generate_labels(baseline, reinforced, blocks, plans, config, 0)
                )
            )
        ratio = statistics.median(b / o for b, o in zip(bare, ours, strict=True))
        figures[interior] = {
            "bare": tokens / statistics.median(bare),
            "labels": tokens / statistics.median(ours),
            "ratio": ratio,
        }
    print(f"medians of {asked.rounds}; {len(blocks)} blocks, {tokens:,} tokens, {len(dictionary)} anchors")
    record.write("label_speed", figures)


if __name__ == "__main__":
    main()
