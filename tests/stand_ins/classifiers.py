"""A small RoBERTa that tells rude sentences from kind ones, trained where it is needed, saved as safetensors."""

import itertools
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForSequenceClassification

PEOPLE = ("the farmer", "the baker", "the miller", "the teacher", "the boy", "the girl")
RUDE = ("a filthy idiot", "a stupid pig", "disgusting trash", "a worthless idiot", "stupid filthy trash")
KIND = ("a good friend", "a quiet neighbour", "kind and clever", "a clever reader", "a good and quiet helper")
SENTENCES = {
    kind: [f"{who} is {what}." for who, what in itertools.product(PEOPLE, said)]
    for kind, said in {1: RUDE, 0: KIND}.items()
}
"""Toxic or not -> sentences."""


def classifier_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE that frames a text as RoBERTa's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    roles = ("bos", "cls", "pad", "eos", "sep", "unk", "mask")
    names = {
        f"{role}_token": token
        for role, token in zip(roles, ("<s>", "<s>", "<pad>", "</s>", "</s>", "<unk>", "<mask>"), strict=True)
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def train_classifier(steps: int = 60) -> tuple[RobertaForSequenceClassification, PreTrainedTokenizerFast]:
    """Return a classifier of two layers, trained until it separates the sentences."""
    texts = SENTENCES[0] + SENTENCES[1]
    tokenizer = classifier_tokenizer(texts)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 40,
    }
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        num_labels=2,
        **sizes,
    )
    config.id2label, config.label2id = {0: "nothate", 1: "hate"}, {"nothate": 0, "hate": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = RobertaForSequenceClassification(config).train()
        read, labels = (
            tokenizer(texts, padding=True, return_tensors="pt"),
            torch.tensor([0] * len(SENTENCES[0]) + [1] * len(SENTENCES[1])),
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(steps):
            model(input_ids=read["input_ids"], attention_mask=read["attention_mask"], labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.eval(), tokenizer


def write_classifier(folder: Path) -> Path:
    """Train a classifier and save it as a folder."""
    model, tokenizer = train_classifier()
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder
