"""Claims: head applied to last hidden states is the model; masks go by length; what a model does to its logits behind
the head is done to kept states too; what nobody knows of is refused.
"""

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, BloomConfig, GPT2Config, LlamaConfig, PretrainedConfig

from tasks.algorithms.models.heads import (
    NO_LIMIT,
    apply_head,
    check_head,
    context_size,
    last_hidden,
    output_head,
    output_size,
)
from tasks.algorithms.tokens.batching import CHUNK_ELEMENTS, pad_batch, row_chunks

BLOCKS = [(5, 6, 7), (8,), (9, 5)]


def test_padding_is_on_the_right_and_masked_by_length() -> None:
    ids, mask = pad_batch(BLOCKS, pad_id=5)
    assert ids.tolist() == [[5, 6, 7], [8, 5, 5], [9, 5, 5]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]  # the 5 in the text stays, the filler 5 goes
    assert ids.dtype == mask.dtype == torch.int64


@pytest.mark.parametrize("family", ["tiny_llama", "tiny_gpt2"])
def test_both_halves_are_the_whole_model(family: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(family)(1)
    ids, mask = pad_batch(BLOCKS, 0)
    with torch.no_grad():
        halves = apply_head(output_head(model), last_hidden(model, ids, mask))
        torch.testing.assert_close(halves, model(input_ids=ids, attention_mask=mask).logits, atol=1e-6, rtol=0)
    check_head(model, ids, mask)


SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
SHAPED = {
    "Gemma2Config": SMALL | {"head_dim": 8, "final_logit_softcapping": 0.5},
    "VaultGemmaConfig": SMALL | {"head_dim": 8, "final_logit_softcapping": 0.5},
    "NanoChatConfig": SMALL | {"final_logit_softcapping": 0.5},
    "CohereConfig": SMALL | {"logit_scale": 0.0625},
    "GraniteConfig": SMALL | {"logits_scaling": 8.0},
    "HyperCLOVAXConfig": SMALL | {"logits_scaling": 8.0},
}
"""Models that do something to their logits behind the head, with what they do so strong that it shows."""


@pytest.mark.parametrize("name", SHAPED)
def test_what_a_model_does_behind_its_head_is_done_to_kept_states_too(name: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(getattr(transformers, name)(**SHAPED[name])).eval()
    ids, mask = pad_batch(BLOCKS, 0)
    with torch.no_grad():
        whole = model(input_ids=ids, attention_mask=mask).logits
        hidden = last_hidden(model, ids, mask)
        head = output_head(model)
        torch.testing.assert_close(apply_head(head, hidden), whole, atol=1e-6, rtol=1e-5)
        bare = model.get_output_embeddings()(hidden)
    assert (bare - whole).abs().max() > 0.05 * whole.abs().max()
    assert output_size(head, hidden[0]) == 60
    assert head.weight is model.get_output_embeddings().weight
    check_head(model, ids, mask)


def test_logits_are_float32_whatever_the_model(tiny_llama) -> None:
    model = tiny_llama(1).to(torch.bfloat16)
    hidden = torch.zeros(2, 32, dtype=torch.bfloat16)
    assert apply_head(output_head(model), hidden).dtype == torch.float32


def test_a_model_that_scales_its_logits_after_the_head_is_refused(tiny_llama) -> None:
    model = tiny_llama(1)
    model.register_forward_hook(lambda module, inputs, output: type(output)(logits=0.5 * output.logits))
    with pytest.raises(ValueError, match="changes its logits after the output head"):
        check_head(model, *pad_batch(BLOCKS, 0))


@pytest.mark.parametrize(("rows", "sizes"), [(0, []), (3, [3]), (4, [4]), (9, [4, 4, 1])])
def test_chunks_cover_every_row_once(rows: int, sizes: list[int]) -> None:
    chunks = row_chunks(rows, CHUNK_ELEMENTS // 4)
    assert [chunk.stop - chunk.start for chunk in chunks] == sizes
    assert [row for chunk in chunks for row in range(rows)[chunk]] == list(range(rows))


@pytest.mark.parametrize(
    ("config", "size"),
    [(GPT2Config(n_positions=77), 77), (LlamaConfig(max_position_embeddings=99), 99), (BloomConfig(), NO_LIMIT)],
)
def test_a_context_is_what_the_config_names_or_has_no_end(config: PretrainedConfig, size: int) -> None:
    assert context_size(config) == size
