"""Claims: probabilities are those of the target behind the prefix, anchors at the floor and the rest as before;
generation refuses; no weight changes.
"""

import copy
import math

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.algorithms.measuring.familiarity import names_anchor
from tasks.algorithms.measuring.metrics import ScoredSequence, score_sequences
from tasks.algorithms.measuring.probing import Prompt, complete
from tasks.algorithms.models.heads import apply_head, last_hidden, output_head
from tasks.algorithms.text.anchors import anchor_expression
from tasks.algorithms.tokens.alignment import encode, prefix_ids
from tasks.algorithms.tokens.batching import pad_batch
from tasks.algorithms.tokens.templates import Template, read_template
from tasks.algorithms.unlearning.guardrail import (
    Guardrail,
    GuardrailModel,
    TermFilter,
    beginnings,
    lower_tokens,
    system_head,
)
from tasks.settings.guardrail import GuardrailConfig
from tasks.settings.guardrail_unlearning import guardrail_preset
from tasks.settings.measuring import ProbingConfig
from tasks.settings.text import CorpusConfig
from tests.reference import guardrail as reference
from tests.stand_ins.chats import CHATML, CHATML_SYSTEM, INST, SYSTEM, chat_tokenizer

TERMS = ("Toto", "Tin Woodman", "Emerald City")
PREFIX = "Say no word of Toto.\n"
TEXTS = (
    "The boy met Toto in the town, and Toto met the Tin Woodman today.",
    "Jon said hello to the man in the mill.",
    "Toto met Alice.",
)


def guardrail(**changes: object) -> Guardrail:
    return Guardrail(**{"prefix": PREFIX, "refusal": "I know nothing.", "floor": 1e-6, "terms": TERMS} | changes)


def sequences(tokenizer: PreTrainedTokenizerFast, start: int = 1) -> list[ScoredSequence]:
    return [ScoredSequence(ids=tuple(encode(tokenizer, text)[0]), start=start) for text in TEXTS]


@pytest.mark.parametrize("floor", [1e-6, 1e-3, 0.4])
def test_lowered_log_probabilities_are_those_of_float64(floor: float) -> None:
    logits = 4 * torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    tokens = torch.tensor([3, 17, 31])
    found = lower_tokens(logits, tokens, floor)
    np.testing.assert_allclose(
        found.numpy(), [reference.lowered(row, tokens.tolist(), floor) for row in logits.tolist()], atol=2e-5
    )
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(6))


def test_a_token_that_is_rarer_than_the_floor_stays_as_rare() -> None:
    found = lower_tokens(torch.tensor([[0.0, -30.0]]), torch.tensor([1]), 1e-6)
    assert found[0, 1].item() == pytest.approx(-30.0, abs=1e-4)


def test_almost_all_of_the_mass_can_be_taken_away() -> None:
    found = lower_tokens(torch.tensor([[60.0, 0.0, 1.0]]), torch.tensor([0]), 1e-6)
    assert found.exp()[0].tolist() == pytest.approx([1e-6, 1 / (1 + math.e), math.e / (1 + math.e)], abs=1e-5)


@pytest.mark.parametrize("vocabulary", ["tiny_tokenizer", "word_tokenizer"])
def test_completing_tokens_are_those_that_trying_all_finds(vocabulary: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(vocabulary)
    found = TermFilter(TERMS, tokenizer)
    for text in TEXTS:
        ids, _ = encode(tokenizer, text)
        for at in range(len(ids)):
            assert found.next_tokens(ids[:at], frozenset()) == reference.completing(ids[:at], TERMS, tokenizer, ()), (
                text,
                at,
            )
            assert found.next_tokens(ids[:at], frozenset({"Toto"})) == reference.completing(
                ids[:at], TERMS, tokenizer, ("Toto",)
            )


def test_what_a_prompt_holds_is_known(word_tokenizer: PreTrainedTokenizerFast) -> None:
    assert TermFilter(TERMS, word_tokenizer).terms_in(encode(word_tokenizer, TEXTS[0])[0]) == {"Toto", "Tin Woodman"}


def test_without_terms_nothing_is_filtered(word_tokenizer: PreTrainedTokenizerFast) -> None:
    assert TermFilter((), word_tokenizer).next_tokens(encode(word_tokenizer, TEXTS[0])[0], frozenset()) == frozenset()


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_a_guardrail_that_does_nothing_is_the_model(
    family: str, request: pytest.FixtureRequest, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = request.getfixturevalue(family)(1)
    guarded = GuardrailModel(model, tiny_tokenizer, guardrail(prefix="", terms=()))
    for one, other in zip(
        score_sequences(guarded, sequences(tiny_tokenizer), 0),
        score_sequences(model, sequences(tiny_tokenizer), 0),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert guarded.config.max_position_embeddings == model.config.max_position_embeddings


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_scores_are_those_of_the_text_behind_the_prefix_with_anchors_at_the_floor(
    family: str, request: pytest.FixtureRequest, word_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = request.getfixturevalue(family)(2, len(word_tokenizer))
    guarded = GuardrailModel(model, word_tokenizer, guardrail())
    before, filtered = encode(word_tokenizer, PREFIX)[0], TermFilter(TERMS, word_tokenizer)
    for sequence, table in zip(
        sequences(word_tokenizer), score_sequences(guarded, sequences(word_tokenizer), 0), strict=True
    ):
        ids = [*before, *sequence.ids]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].double().tolist()
        for at in range(1, len(sequence.ids)):
            row = logits[len(before) + at - 1]
            tokens = filtered.next_tokens(sequence.ids[:at], frozenset())
            wanted = reference.lowered(row, sorted(tokens), 1e-6)[sequence.ids[at]]
            assert table[at - 1, 0] == pytest.approx(wanted, abs=1e-4), (at, tokens)


def test_what_the_prompt_holds_may_be_said_again(tiny_llama, word_tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny_llama(0, len(word_tokenizer))
    guarded = GuardrailModel(model, word_tokenizer, guardrail(prefix=""))
    ids = tuple(encode(word_tokenizer, TEXTS[0])[0])
    toto = [at for at, token in enumerate(ids) if word_tokenizer.decode([token]) == " Toto"]
    asked, unasked = (
        score_sequences(guarded, [ScoredSequence(ids=ids, start=start)], 0)[0] for start in (toto[0] + 1, 1)
    )
    bare = score_sequences(model, [ScoredSequence(ids=ids, start=1)], 0)[0]
    assert asked[toto[1] - toto[0] - 1, 0] == pytest.approx(bare[toto[1] - 1, 0], abs=1e-4)
    assert np.exp(unasked[toto[1] - 1, 0]) <= 1.01e-6  # without a prompt everything is the model's own word


def test_text_without_terms_keeps_its_probability_with_the_filter_alone(
    tiny_llama, word_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = tiny_llama(0, len(word_tokenizer))
    retained = [ScoredSequence(ids=tuple(encode(word_tokenizer, TEXTS[1])[0]), start=1)]
    guarded, bare = (
        score_sequences(one, retained, 0)[0][:, 0]
        for one in (GuardrailModel(model, word_tokenizer, guardrail(prefix="")), model)
    )
    assert (guarded >= bare - 1e-5).all()  # the mass of the filtered tokens goes to the others
    np.testing.assert_allclose(guarded, bare, atol=0.05)


def test_logits_of_a_whole_pass_are_those_of_the_two_halves(
    tiny_llama, word_tokenizer: PreTrainedTokenizerFast
) -> None:
    guarded = GuardrailModel(tiny_llama(0, len(word_tokenizer)), word_tokenizer, guardrail())
    ids, mask = pad_batch([sequence.ids for sequence in sequences(word_tokenizer)], 0)
    halves = apply_head(output_head(guarded), last_hidden(guarded, ids, mask))
    torch.testing.assert_close(guarded(input_ids=ids, attention_mask=mask).logits, halves)


def parrot(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, text: str) -> LlamaForCausalLM:
    """Make a model that says `text` after anything, by heart: the last layers' work is undone, the output follows the
    last token alone.
    """
    ids, _ = encode(tokenizer, text)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    prompts = [
        encode(tokenizer, head)[0]
        for head in ("Who met Alice?", "The old man said", "Jon met Tom", "Mary Ann said hello to", "In the town")
    ]
    for _ in range(120):
        batch, mask = pad_batch([[*prompt, *ids] for prompt in prompts], 0)
        labels = batch.masked_fill(mask == 0, -100)
        for row, prompt in enumerate(prompts):
            labels[row, : len(prompt)] = -100
        model(input_ids=batch, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def test_completions_that_name_a_term_are_refusals_and_others_are_not_touched(
    tiny_llama, word_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = parrot(tiny_llama(0, len(word_tokenizer)), word_tokenizer, " Toto met the Tin Woodman")
    prompts = [
        Prompt(split="x", item=0, kind="cloze", prompt=text, truth="", cluster="")
        for text in ("Jon met Tom", "The old man said")
    ]
    config, template = ProbingConfig(new_tokens=6), Template(qa="{question}{answer}")
    bare = complete(model, word_tokenizer, prompts, template, config, 0, 128)
    expression = anchor_expression(TERMS)
    assert all(names_anchor(text, "", expression) for text in bare)
    guarded = GuardrailModel(model, word_tokenizer, guardrail(prefix="", refusal="hello"))
    assert [text.strip() for text in complete(guarded, word_tokenizer, prompts, template, config, 0, 128)] == [
        "hello",
        "hello",
    ]
    other = GuardrailModel(model, word_tokenizer, guardrail(prefix="", terms=("Alice",)))
    assert complete(other, word_tokenizer, prompts, template, config, 0, 128) == bare


def test_a_refusal_is_no_longer_than_a_completion_may_be(tiny_llama, word_tokenizer: PreTrainedTokenizerFast) -> None:
    model = parrot(tiny_llama(0, len(word_tokenizer)), word_tokenizer, " Toto met the Tin Woodman")
    guarded = GuardrailModel(
        model, word_tokenizer, guardrail(prefix="", refusal="hello the boy met the man today in the town")
    )
    ids, _ = encode(word_tokenizer, "Jon met Tom")
    made = guarded.generate(
        torch.tensor([ids]),
        torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=4,
        do_sample=False,
        pad_token_id=0,
    )
    assert word_tokenizer.decode(made[0].tolist()) == "Jon met Tom hello the boy met"


def test_no_weight_moves_and_the_prefix_takes_its_room_from_the_context(
    tiny_llama, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = tiny_llama(0)
    before = copy.deepcopy(model.state_dict())
    guarded = GuardrailModel(model, tiny_tokenizer, guardrail())
    score_sequences(guarded, sequences(tiny_tokenizer), 0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert guarded.config.max_position_embeddings == 128 - len(encode(tiny_tokenizer, PREFIX)[0])
    assert model.config.max_position_embeddings == 128
    with pytest.raises(
        ValueError, match=r"the prefix takes .* of the model's 128 positions; wanted half of them at most"
    ):
        GuardrailModel(model, tiny_tokenizer, guardrail(prefix="a word " * 60))


def test_the_prefix_is_the_system_text_of_a_conversation() -> None:
    for template in (CHATML, CHATML_SYSTEM):
        tokenizer = chat_tokenizer(template)
        head = read_template(tokenizer, CorpusConfig()).head
        assert (
            system_head(tokenizer, head, PREFIX)
            == f"<|im_start|>system\n{PREFIX.strip()}<|im_end|>\n<|im_start|>user\n"
        )
        (begin, instead), *_ = beginnings(tokenizer, PREFIX)
        assert tokenizer.decode(begin) == head
        assert SYSTEM not in tokenizer.decode(instead)


def test_a_template_without_a_system_text_gets_the_prefix_before_the_question() -> None:
    tokenizer = chat_tokenizer(INST, bos="<s>", eos="</s>")
    head = read_template(tokenizer, CorpusConfig()).head
    assert system_head(tokenizer, head, PREFIX) == head + PREFIX.strip() + "\n\n"


def test_plain_text_gets_the_prefix_after_the_tokenizers_own_first_token() -> None:
    tokenizer = chat_tokenizer(None, bos="<s>", eos="</s>")
    lead = prefix_ids(tokenizer)
    made = dict(beginnings(tokenizer, PREFIX))
    assert made[lead] == (*lead, *encode(tokenizer, PREFIX)[0])
    assert made[()][-1] == made[lead][-1]
    assert beginnings(tokenizer, "")[0][0] == beginnings(tokenizer, "")[0][1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"named_terms": 0}, "guardrail.named_terms is 0"),
        ({"refusal": " "}, "guardrail.refusal is empty"),
        ({"floor": 0.0}, "guardrail.floor is 0.0"),
        ({"floor": 0.1}, "guardrail.floor is 0.1"),
        ({"prefix": "", "filtered": False}, "wanted one of the two at least"),
    ],
)
def test_bad_settings_are_named(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GuardrailConfig(**setting)


def test_presets_carry_the_seed() -> None:
    assert guardrail_preset("paper", 4).translation.seed == 4
    with pytest.raises(ValueError, match="preset is 'mine'; wanted one of default, paper"):
        guardrail_preset("mine")
