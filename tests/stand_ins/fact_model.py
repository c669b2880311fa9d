"""A small GPT-2 that knows facts on subjects of two tokens, read at the second of them: a first and a last name from
shared parts, a relation in several wordings, an object.

In training, a mention's first token is hidden from most of what follows it, so that the subject is put together at its
last token, where editing looks for it; name parts elsewhere in a sentence tell nothing.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tasks.algorithms.editing.contexts import Rewrite, Row
from tasks.algorithms.editing.prompts import EditPrompt
from tasks.algorithms.measuring.metrics import ScoredSequence

FIRST, LAST, OBJECTS, WORDINGS, RELATIONS = 6, 6, 6, 3, 2
BOS = 0
_FIRST, _LAST = 1, 1 + FIRST
_WORDING = _LAST + LAST
_OBJECT = _WORDING + RELATIONS * WORDINGS
FILLER = _OBJECT + RELATIONS * OBJECTS
SAYS, STOP, VOCABULARY = FILLER + 3, FILLER + 4, FILLER + 5
WORDS = (
    "[BOS] Anna Bert Cleo Dora Emil Fred Ash Birch Cedar Dale Elm Ford lives resides dwells plays loves likes Velden"
    " Oxmere Dunlow Corvale Fenstow Norwick chess tennis golf rugby polo darts yes well so says ."
).split()
"""The tokens as words, for tests that go from text to text."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Token ids of a fact."""

    subject: tuple[int, int]
    relation: int
    answer: int

    def prompt(self, wording: int = 0, before: tuple[int, ...] = ()) -> tuple[int, ...]:
        return (BOS, *before, *self.subject, _WORDING + self.relation * WORDINGS + wording)

    def paraphrases(self) -> list[tuple[int, ...]]:
        """Prompts in other wordings, and after words that tell nothing."""
        others = [self.prompt(wording) for wording in range(WORDINGS)]
        return [*others[1:], *(self.prompt(0, (FILLER + n,)) for n in range(3))]

    def other(self, step: int = 1) -> int:
        """Return another object of the relation."""
        first = _OBJECT + self.relation * OBJECTS
        return first + (self.answer - first + step) % OBJECTS


def facts() -> list[Fact]:
    """Return the world's facts: two on each of 24 subjects."""
    rng = random.Random(0)
    pairs = [(first, last) for first in range(FIRST) for last in range(LAST)]
    rng.shuffle(pairs)
    return [
        Fact(
            subject=(_FIRST + first, _LAST + last),
            relation=relation,
            answer=_OBJECT + relation * OBJECTS + rng.randrange(OBJECTS),
        )
        for first, last in pairs[:24]
        for relation in range(RELATIONS)
    ]


def rewrite(fact: Fact, target: int, beginnings: int = 3) -> Rewrite:
    """Return a request with as many beginnings, of one to three words that tell nothing."""
    before = [(), *((FILLER + n,) * (n + 1) for n in range(beginnings))]
    rows = [Row(ids=fact.prompt(0, words), at=2 + len(words)) for words in before]
    return Rewrite(rows=(*rows, Row(ids=(BOS, *fact.subject), at=2)), target=(target,))


def fact_prompt(fact: Fact, prompt: tuple[int, ...]) -> EditPrompt:
    """Return one of a fact's prompts with its object."""
    start = next(place for place in range(len(prompt)) if prompt[place : place + 2] == fact.subject)
    return EditPrompt(ids=(*prompt, fact.answer), subject=(start, start + 2), target_start=len(prompt))


def statement(prompt: tuple[int, ...], token: int) -> ScoredSequence:
    """Return a prompt with a token after it, which is scored."""
    return ScoredSequence(ids=(*prompt, token), start=len(prompt))


def text(rng: random.Random, known: list[Fact], length: int) -> tuple[list[int], list[int], list[bool]]:
    """Return token ids, the number of the mention that each belongs to, and which are a mention's first."""
    ids, mention, first = [BOS], [0], [False]
    while len(ids) < length:
        fact = rng.choice(known)
        before = rng.choice([[], [FILLER], [FILLER + 1], [FILLER + 2], [_FIRST + rng.randrange(FIRST), SAYS]])
        aside = [_LAST + rng.randrange(LAST), SAYS] if rng.random() < 0.3 else []
        wording = _WORDING + fact.relation * WORDINGS + rng.randrange(WORDINGS)
        number = max(mention) + 1
        ids += [*before, *fact.subject, *aside, wording, fact.answer, STOP]
        mention += [0] * len(before) + [number] * 2 + [0] * (len(aside) + 3)
        first += [False] * len(before) + [True, False] + [False] * (len(aside) + 3)
    return ids[:length], mention[:length], first[:length]


def hidden_firsts(mention: torch.Tensor, first: torch.Tensor, share: float) -> torch.Tensor:
    """Return an additive attention mask that hides a share of the mentions' first tokens from what follows them."""
    rows, length = mention.shape
    hidden = first & (torch.rand(rows, length) < share).gather(1, mention)
    seen = torch.ones(length, length, dtype=torch.bool).tril() & ~(
        hidden[:, None, :] & (mention[:, :, None] != mention[:, None, :])
    )
    return torch.zeros(rows, 1, length, length, dtype=torch.float64).masked_fill_(~seen[:, None], -1e300)


def _trained() -> GPT2LMHeadModel:
    """Train in double precision: in single precision every kind of processor makes another model."""
    rng, known = random.Random(1), facts()
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=40,
        n_embd=64,
        n_layer=3,
        n_head=4,
        initializer_range=0.08,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
        bos_token_id=BOS,
        eos_token_id=BOS,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config).double()
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.1)
        steps = 600
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 50, max(0.03, (steps - step) / (0.5 * steps)))
            rows = [text(rng, known, 32) for _ in range(12)]
            ids, mention, first = (torch.tensor(each) for each in zip(*rows, strict=True))
            logits = model(input_ids=ids, attention_mask=hidden_firsts(mention, first, 0.9)).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return model.float()


def fact_model() -> GPT2LMHeadModel:
    """Return the trained model, a new copy of it every time; it is trained once for all workers of a test run."""
    folder = Path(os.environ["LETHE_TESTS"]) / "fact-model"
    with FileLock(folder.with_name("fact-model.lock")):
        if not folder.exists():
            made = folder.with_name("fact-model-made")
            _trained().save_pretrained(made)
            made.rename(folder)
    return GPT2LMHeadModel.from_pretrained(folder, local_files_only=True).eval()


def text_rows(count: int) -> list[list[int]]:
    """Return text of the world."""
    rng, known = random.Random(2), facts()
    return [text(rng, known, 32)[0] for _ in range(count)]


@torch.no_grad()
def said(model: torch.nn.Module, prompts: list[tuple[int, ...]]) -> torch.Tensor:
    """Return the distribution over the token after each prompt."""
    return torch.stack([model(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1) for prompt in prompts])


def fact_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer for which every word of the world is one token, and puts the first before every text."""
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token=WORDS[BOS]))
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="isolated")]
    )
    words.post_processor = processors.TemplateProcessing(single=f"{WORDS[BOS]} $A", special_tokens=[(WORDS[BOS], BOS)])
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), WORDS[BOS])
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=40, **special)


def as_words(ids: Sequence[int]) -> str:
    """Return tokens as text, without the first that the tokenizer puts there itself."""
    return " ".join(WORDS[token] for token in ids if token != BOS)
