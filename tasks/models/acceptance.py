"""Which models are let in: decoders of text, whose weights are plain numbers, whose embedding has the rows that the
config names, and whose logits are what the output layer makes of the last hidden states, shaped as `heads` knows.

All of it is read off the config and the headers of the weights before anything is loaded, so that what cannot be served
is refused at the start and with what is wanted, not by a library inside a stage; or worse, served with wrong figures.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.artifacts import BadInputError

if TYPE_CHECKING:
    from tasks.artifacts import CheckpointRef

SENSES = re.compile(r"^(vision|visual|image|video|audio|speech|vq|perceiver|codec)\w*_(config|tower)$|^vision_config$")
"""Fields of configs of models that also see or hear."""
WRITES_TEXT = re.compile(r"(ForCausalLM|LMHead(Model)?|BertGenerationDecoder)$")
"""What classes of models that write text are called."""
ENCODERS = frozenset(
    """
    bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert rembert roberta
    roberta-prelayernorm roc_bert roformer xlm xlm-roberta xlm-roberta-xl xlnet xmod reformer
    """.split()
)
"""Model types whose tokens see what comes after them, unless the config says otherwise."""
KNOWN = frozenset(
    """
    apertus arcee bloom codegen cohere cohere2 cwm falcon falcon_h1 falcon_mamba gemma gemma2 gemma3_text glm glm4 gpt2
    gpt_bigcode gpt_neo gpt_neox gptj granite granitemoe helium hyperclovax lfm2 llama mamba mamba2 ministral3 mistral
    mixtral mpt nanochat nemotron olmo olmo2 olmo3 olmoe opt persimmon phi phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_moe
    recurrent_gemma seed_oss smollm3 stablelm starcoder2 vaultgemma
    """.split()
)
"""Model types whose output layer is known to be all that `heads` says of it, by a test; others are looked at when they
come."""
EMBEDDINGS = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|embed_in|embeddings?|lm_head|embed_out)\.weight$")
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
PACKED = re.compile(r"(weight|qweight|weight_packed|weight_scale|qzeros|_blocks)$")


class StoredTensor(NamedTuple):
    """A tensor as the header of a file of weights has it."""

    name: str
    dtype: str
    """As safetensors calls it: F32, BF16, I8, ..."""
    shape: tuple[int, ...]


def text_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with what it nests in `text_config` on top."""
    nested = config.get("text_config")
    return {**config, **nested} if isinstance(nested, dict) else dict(config)


def require_decoder(config: Mapping[str, Any], given: str) -> None:
    """Refuse a config of something other than a decoder of text in plain numbers.

    Args:
        config: What config.json says.
        given: Option and place, for the message.

    Raises:
        BadInputError: With what it is and what is wanted.
    """
    kind = str(config.get("model_type") or "?")
    if config.get("is_encoder_decoder"):
        raise BadInputError(
            f"{given}: a {kind} model reads with an encoder and writes with a decoder; wanted a decoder alone, such as"
            " GPT-2's or Llama's"
        )
    if packed := config.get("quantization_config") or config.get("compression_config"):
        how = packed.get("quant_method", "?") if isinstance(packed, dict) else packed
        raise BadInputError(
            f"{given}: its weights are quantised ({how}); wanted them in float32, bfloat16 or float16, of which"
            " gradients can be taken"
        )
    if senses := sorted(name for name, value in config.items() if SENSES.search(name) and value):
        raise BadInputError(
            f"{given}: a {kind} model also sees or hears ({', '.join(senses)}); wanted a model of text alone, such as"
            " its language model saved by itself"
        )
    named = config.get("architectures")
    classes = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    if classes and not any(WRITES_TEXT.search(name) for name in classes):
        raise BadInputError(
            f"{given}: config.json says {', '.join(classes)}, which has no output layer that writes text; wanted a"
            " model that was saved with one (...ForCausalLM)"
        )
    if kind in ENCODERS and not (config.get("is_decoder") or config.get("causal")):
        raise BadInputError(
            f"{given}: the tokens of a {kind} model see those after them (no is_decoder in config.json); wanted a model"
            " that reads from left to right"
        )


def require_plain(tensors: Sequence[StoredTensor], config: Mapping[str, Any], given: str) -> None:
    """Refuse weights that are packed, and embeddings of another size than the config names, as a vocabulary leaves that
    was resized by halves.

    Args:
        tensors: All that the files hold.
        config: What config.json says.
        given: Option and place, for the message.

    Raises:
        BadInputError: With the tensor and what is wanted.
    """
    rows = text_settings(config).get("vocab_size")
    for tensor in tensors:
        if len(tensor.shape) > 1 and tensor.dtype not in FLOATS and PACKED.search(tensor.name):
            raise BadInputError(
                f"{given}: {tensor.name} is stored as {tensor.dtype}; wanted weights in float32, bfloat16 or float16,"
                " not quantised ones"
            )
        embeds = len(tensor.shape) == 2 and EMBEDDINGS.search(tensor.name)
        if embeds and isinstance(rows, int) and tensor.shape[0] != rows:
            raise BadInputError(
                f"{given}: {tensor.name} has {tensor.shape[0]} rows, and config.json a vocab_size of {rows}; wanted a"
                " model whose embedding, output layer and config were resized together (resize_token_embeddings)"
            )


def require_known_head(checkpoint: "CheckpointRef", config: Mapping[str, Any]) -> None:
    """Refuse a model whose logits are not known to be made of its last hidden states; only for types that no test knows
    is anything computed, and no weights are read.

    Args:
        checkpoint: The model.
        config: What its config.json says.

    Raises:
        BadInputError: If its type cannot be made, or its logits are not what `heads` makes of its last hidden states.
    """
    if str(config.get("model_type")) in KNOWN:
        return
    from tasks.algorithms.models.heads import check_shape
    from tasks.models.loading import skeleton

    given = f"{checkpoint.label} model {checkpoint.name}"
    try:
        bare = skeleton(checkpoint)
    except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInputError(
            f"{given}: no model of type {config.get('model_type')!r} can be made of its config.json ({reason}); wanted"
            " a language model that the transformers library knows"
        ) from None
    try:
        check_shape(bare)
    except ValueError as error:
        raise BadInputError(f"{given}: {error}") from None
