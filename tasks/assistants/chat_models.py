"""LangChain's chat models behind one interface: questions in; replies, or why there are none, and token counts out.

What was answered is kept in LangChain's SQLite cache, a forget artifact, under what decides an answer: provider, model,
address, limits and the form asked for. How a server is reached is no part of that, and the key is in neither. Nothing
follows a server's redirect, loopback servers are asked past any proxy, and LangChain's tracing is off, so that no text
goes where it was not sent.
"""

import json
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tasks import store
from tasks.artifacts import CheckpointRef
from tasks.execution import progress
from tasks.models.loading import load_model
from tasks.settings.assistants import ProviderConfig, is_loopback

if TYPE_CHECKING:
    from langchain_core.caches import BaseCache
    from langchain_core.language_models import BaseChatModel
    from langchain_openai import ChatOpenAI
    from transformers import PreTrainedTokenizerBase


@dataclass
class Usage:
    """Model calls and tokens that the questions took."""

    model_calls: int = 0
    """Requests that went out, or generations of a local model."""
    model_calls_repeated: int = 0
    """Those of them that repeat one that failed."""
    model_calls_cached: int = 0
    """Questions that the cache answered."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: value + getattr(other, name) for name, value in asdict(self).items()})


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The model's reply to one question."""

    text: str | None
    """None: there was none."""
    reason: str = ""
    """Why there was none; never anything of the question."""


class _Meter:
    """Counts for threads that ask side by side."""

    def __init__(self) -> None:
        self.usage, self._lock = Usage(), threading.Lock()

    def add(self, **counts: int) -> None:
        with self._lock:
            self.usage += Usage(**counts)

    def request(self, request: Any) -> None:
        """Count a request as it goes out; the client numbers its repetitions."""
        repeated = request.headers.get("x-stainless-retry-count", "0") != "0"
        self.add(model_calls=1, model_calls_repeated=int(repeated))


@contextmanager
def _cache(config: ProviderConfig, form: dict[str, Any], meter: _Meter) -> Iterator["BaseCache"]:
    """Open the cache, keyed by what decides an answer beside the question itself."""
    from langchain_community.cache import SQLiteCache

    # the cache's own call, on rows of our own
    warnings.filterwarnings("ignore", ".*allowed_objects", PendingDeprecationWarning)
    decisive = {name: getattr(config, name) for name in ("name", "model", "digest", "url", "max_tokens", "seed")}
    identity = json.dumps([decisive, form], sort_keys=True)

    class Cache(SQLiteCache):
        def lookup(self, prompt: str, llm_string: str) -> Any:
            cached = super().lookup(prompt, identity)
            meter.add(model_calls_cached=int(cached is not None))
            return cached

        def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
            used = getattr(return_val[0].message, "usage_metadata", None) or {}
            meter.add(prompt_tokens=used.get("input_tokens", 0), completion_tokens=used.get("output_tokens", 0))
            super().update(prompt, identity, return_val)

    with store.lock("answers"):  # two processes that make the tables at once would trip over each other
        cache = Cache(str(store.growing("answers") / "answers.db"))
    try:
        yield cache
    finally:
        cache.engine.dispose()


def ask_server(
    config: ProviderConfig, key: str, questions: Sequence[str], form: dict[str, Any]
) -> tuple[list[Reply], Usage]:
    """Ask a server, some questions at a time.

    Args:
        config: The server.
        key: Its key; empty where it needs none.
        questions: What to ask.
        form: JSON schema of an answer; servers that can will hold to it, others are told by the question.

    Returns:
        The reply to each question, and the counts.
    """
    meter, plain = _Meter(), threading.Event()
    with (
        _cache(config, form, meter) as cache,
        server_model(config, key, meter, cache) as model,
        ThreadPoolExecutor(config.concurrency) as pool,
    ):
        replies = []
        for reply in pool.map(lambda question: _ask_once(model, question, config, form, plain), questions):
            replies.append(reply)
            progress.report(len(replies), len(questions))
    return replies, meter.usage


@contextmanager
def server_model(
    config: ProviderConfig, key: str, meter: _Meter | None = None, cache: "BaseCache | None" = None
) -> Iterator["ChatOpenAI"]:
    """Open a chat model on a server."""
    from langchain_openai import ChatOpenAI
    from openai import DefaultHttpxClient

    from tasks.assistants.http_limits import bounded

    hooks = {"request": [meter.request] if meter else [], "response": [bounded(config.timeout_s)]}
    with DefaultHttpxClient(
        follow_redirects=False,
        trust_env=not is_loopback(config.url),
        event_hooks=hooks,
        headers={"accept-encoding": "identity"},
    ) as http:
        yield ChatOpenAI(
            model=config.model,
            base_url=config.url,
            # without any the client would take OPENAI_API_KEY, which is not meant for this server
            api_key=key or "none",
            temperature=0.0,
            seed=config.seed,
            timeout=config.timeout_s,
            max_retries=config.retries,
            http_client=http,
            cache=cache if cache is not None else False,
            use_responses_api=False,
        )


def _ask_once(
    model: "ChatOpenAI", question: str, config: ProviderConfig, form: dict[str, Any], plain: threading.Event
) -> Reply:
    """Ask one question. A server that does not support a response schema is asked without one, and so are all later
    questions (`plain`).
    """
    import openai

    reason = ""
    for requested_form in [None] if plain.is_set() else [form, None]:
        try:
            text = _invoke(model, question, extra_body=_body(config, requested_form))
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            reason = _reason(error, config)
        # all but the first: an answer of another shape, or nested beyond reading
        except (openai.OpenAIError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            return Reply(text=None, reason=_reason(error, config))
        else:
            if requested_form is None:
                plain.set()
            return Reply(text=text)
    return Reply(text=None, reason=reason)


def _body(config: ProviderConfig, form: dict[str, Any] | None) -> dict[str, Any]:
    """Most servers know `max_tokens`, OpenAI's own only its newer name; the form goes beside the client, which would
    refuse a cut-off answer.
    """
    limit = {"max_completion_tokens" if config.name == "openai" else "max_tokens": config.max_tokens}
    schema = {"name": "answer", "schema": form, "strict": True}
    return limit | ({"response_format": {"type": "json_schema", "json_schema": schema}} if form else {})


def _reason(error: Exception, config: ProviderConfig) -> str:
    """Say what went wrong in words of our own: a server's may repeat the question or the key."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return f"no answer within {config.timeout_s:g} s"
    if isinstance(error, openai.APIConnectionError):
        return "the server cannot be reached"
    if isinstance(error, openai.APIStatusError):
        return f"status {error.status_code}"
    return "what the server answers is no chat completion"


def _invoke(model: "BaseChatModel", question: str, **options: Any) -> str:
    from langsmith import tracing_context

    with tracing_context(enabled=False):
        return str(model.invoke(question, **options).content)


def ask_local(
    config: ProviderConfig, checkpoint: CheckpointRef, questions: Sequence[str], form: dict[str, Any]
) -> tuple[list[Reply], Usage]:
    """Ask a local model through its chat template, one question after the other; to be called in a process of its own.

    Args:
        config: Limits.
        checkpoint: The model.
        questions: What to ask.
        form: As in `ask_server`; here only part of the cache's key.

    Returns:
        As `ask_server`.
    """
    from transformers import AutoTokenizer

    meter, replies = _Meter(), []
    tokenizer = AutoTokenizer.from_pretrained(store.path(checkpoint), local_files_only=True, trust_remote_code=False)
    with _cache(config, form, meter) as cache:
        model = _local_model(checkpoint, tokenizer, cache)
        for question in questions:
            replies.append(_generate(model, tokenizer, question, config, meter))
            progress.report(len(replies), len(questions))
    return replies, meter.usage


def _local_model(
    checkpoint: CheckpointRef, tokenizer: "PreTrainedTokenizerBase", cache: "BaseCache"
) -> "BaseChatModel":
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
    from transformers import TextGenerationPipeline

    pipeline = TextGenerationPipeline(model=load_model(checkpoint), tokenizer=tokenizer, task="text-generation")
    return ChatHuggingFace(
        llm=HuggingFacePipeline(pipeline=pipeline, model_id=str(store.path(checkpoint))),
        tokenizer=tokenizer,
        cache=cache,
    )


def _generate(
    model: Any, tokenizer: "PreTrainedTokenizerBase", question: str, config: ProviderConfig, meter: _Meter
) -> Reply:
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False
    )
    size, room = (
        len(tokenizer(prompt, add_special_tokens=False).input_ids),
        getattr(model.llm.pipeline.model.config, "max_position_embeddings", None),
    )
    if room and size >= room:
        return Reply(text=None, reason=f"the question has {size} tokens and the model takes {room}")
    limit = min(config.max_tokens, room - size) if room else config.max_tokens
    cached = meter.usage.model_calls_cached
    text = _invoke(
        model, question, pipeline_kwargs={"do_sample": False, "max_new_tokens": limit, "return_full_text": False}
    )
    if meter.usage.model_calls_cached == cached:
        # the end of turn, and what cannot be shown, is not in the text
        generated_tokens = len(tokenizer(text, add_special_tokens=False).input_ids)
        meter.add(model_calls=1, prompt_tokens=size, completion_tokens=min(generated_tokens, limit))
    return Reply(text=text)
