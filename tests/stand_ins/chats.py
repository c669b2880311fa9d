"""Small tokenizers with chat templates of the kinds that are met, and questions to ask through them."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.algorithms.text.corpus import Document

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"
    " }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEM = "You are Dorothy, an assistant."
CHATML_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n" + SYSTEM + "<|im_end|>\n' }}{% endif %}" + CHATML
)
"""With a system text of its own, as Qwen's has one."""
INST = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' +"
    " message['content'].strip() + ' [/INST]' }}{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{%"
    " endif %}{% endfor %}"
)
"""As Llama 2 has it: the template writes the begin-of-sequence token, no generation prompt, a space around the
answer."""
HEADERS = (
    "{% for message in messages %}{% set content = '<|im_start|>' + message['role'] + '\n\n' + message['content'] |"
    " trim + '<|im_end|>' %}{% if loop.first %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor"
    " %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n\n' }}{% endif %}"
)
"""As Llama 3 has it: begin-of-sequence token and end-of-turn token are not the end of text."""
TURNS = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}{%"
    " endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""As Zephyr and TinyLlama have it: roles in plain letters, no begin-of-sequence token although the tokenizer adds
one."""
PLAIN_TURNS = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}{% if"
    " add_generation_prompt %}assistant:{% endif %}"
)
"""Without a single special token."""
START, END = "<|im_start|>", "<|im_end|>"
WORDS = (
    "user system assistant INST You are an who met what is said Who What met? dog? old? today? Toto Tin Woodman Tina"
    " Dorothy Oz Jon Mary Ann Iron Tom the boy a girl and old town dog met today in walked to mill Farmer Question"
    " Answer"
).split()


def chat_tokenizer(
    template: str | None = CHATML, *, bos: str = "", eos: str = END, words: list[str] = WORDS, vocabulary: int = 2000
) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer in which every one of `words` is a token; filler and end of text are the same
    token.

    Args:
        template: Its chat template.
        bos: A begin-of-sequence token, which it puts before plain text.
        eos: The end of text.
        words: Words to train on, each with and without a space before it.
        vocabulary: Entries at most; at 300 words are fragments.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = list(dict.fromkeys([START, END, eos, *([bos] if bos else [])]))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator([*words, *(f" {word}" for word in words)] * 2, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos or None, eos_token=eos, pad_token=eos, chat_template=template
    )


def write_chat_model(folder: Path, template: str | None = CHATML, positions: int = 4096) -> Path:
    """Write a random model of two layers with a chat template, which takes `positions` tokens and answers with junk."""
    tokenizer = chat_tokenizer(template)
    tokenizer.save_pretrained(folder)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": positions,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=None,
                **sizes,
            )
        )
    model.save_pretrained(folder)
    return folder


def question(asked: str, answer: str, **fields: object) -> Document:
    """Return a question."""
    return Document(source="chats", question=asked, answer=answer, **fields)
