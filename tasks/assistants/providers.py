"""The interface to other language models, for every stage that asks one: translation, probing prompts, a judge, facts
from text.

    ask(config, questions, schema)  ->  for each question a checked answer or why there is none; what it cost

A local model answers in a process of its own, a server by HTTP. Before anything is trained, `inspect_provider` and
`require_answering` say in one line what is wrong with a model, a key or a server. Keys come from the environment or a
Prefect Secret block at the moment of asking.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from tasks.algorithms.assistants.answers import read_value
from tasks.artifacts import BadInputError, CheckpointRef
from tasks.assistants import chat_models
from tasks.assistants.chat_models import Reply, Usage
from tasks.execution import isolation, progress
from tasks.models.checkpoints import has_chat_template, inspect_model
from tasks.settings.assistants import AskingConfig, ProviderConfig, check_provider, place

T = TypeVar("T", bound=BaseModel)
CHECK_S = 15.0
"""Seconds that a server may take for its first reply."""
LOADING_S = 1800.0
"""Seconds that a local model may take beside its answers."""


class UnansweredError(ConnectionError):
    """Not one question was answered; it may pass, so the stage is tried again."""


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[T]):
    """The answer to one question."""

    value: T | None
    text: str | None
    """As the model gave it; None where there was no reply at all."""
    reason: str = ""
    """Why there is no value; never anything of the question or the reply."""


def ask(
    config: ProviderConfig,
    questions: Sequence[str],
    schema: type[T],
    *,
    read: Callable[[str], Any] = read_value,
    option: str = "--translator",
) -> tuple[list[Answer[T]], Usage]:
    """Ask a language model, at temperature 0, and read its answers.

    Args:
        config: The model; not `offline`.
        questions: What to ask, each complete in itself, the wanted form of the answer included.
        schema: What an answer must be; servers that can will hold to it.
        read: Makes of an answer's text what the schema is tried on; raises ValueError where it holds nothing.
        option: The provider's option on the command line, for messages.

    Returns:
        An answer for each question, in order, and the calls and tokens used: log it with `tracking.log_metrics(run,
        asdict(usage))`.

    Raises:
        BadInputError: If the provider's settings cannot be, or the key is missing.
    """
    _check(config, option)
    if not questions:
        return [], Usage()
    form, distinct = schema.model_json_schema(), list(dict.fromkeys(questions))  # the cache takes an answer once
    if config.served:
        replies, usage = chat_models.ask_server(config, api_key(config, option), distinct, form)
    else:
        replies, usage = _ask_local(config, distinct, form, option)
    answers = dict(zip(distinct, (_validated(reply, schema, read) for reply in replies), strict=True))
    return [answers[question] for question in questions], usage


def _ask_local(
    config: ProviderConfig, questions: Sequence[str], form: dict[str, Any], option: str
) -> tuple[list[Reply], Usage]:
    checkpoint = _local_model(config, option)
    arguments = {
        "config": replace(config, digest=checkpoint.digest),
        "checkpoint": checkpoint,
        "questions": list(questions),
        "form": form,
    }
    limit_s = LOADING_S + config.timeout_s * len(questions)
    threads = max(1, isolation.cores() // 2)  # other stages run beside
    return isolation.run_isolated(
        chat_models.ask_local, arguments, stage=progress.current(), key=None, threads=threads, timeout_s=limit_s
    )


def _validated(reply: Reply, schema: type[T], read: Callable[[str], Any]) -> Answer[T]:
    if reply.text is None:
        return Answer(value=None, text=None, reason=reply.reason)
    try:
        return Answer(value=schema.model_validate(read(reply.text)), text=reply.text)
    except ValidationError as error:
        places = sorted(
            {
                ".".join(str(part) for part in fault["loc"] if part in schema.model_fields) or "the answer"
                for fault in error.errors()
            }
        )
        return Answer(value=None, text=reply.text, reason=f"the answer does not fit its form: {', '.join(places)}")
    except ValueError as error:
        return Answer(value=None, text=reply.text, reason=str(error))


def any_answered(config: AskingConfig, answers: Sequence[Answer[Any]]) -> bool:
    """Return whether anything came back; where nothing did and the run is to go on without the model, nothing is said.

    Raises:
        UnansweredError: If a server answered nothing, and the run is not to go on without it.
        BadInputError: The same of a local model, for which no question is small enough.
    """
    if not answers or any(answer.text is not None for answer in answers):
        return bool(answers)
    if config.fallback == "offline":
        return False
    provider, reason = config.provider, answers[0].reason
    if provider.served:
        raise UnansweredError(
            f"the {config.option.strip('-').replace('-', ' ')} at {provider.url} answered no question: {reason}; run"
            " the same command again to go on, or with --translator-fallback offline to go on without it"
        )
    smaller = f"--set {config.section}.batch={max(1, config.batch // 3)}"
    raise BadInputError(
        f"{place(config.option, 'model')} {provider.model}: {reason}; wanted a model that takes more, or {smaller}"
    )


def api_key(config: ProviderConfig, option: str) -> str:
    """Return a server's key, or an empty text where none is set and none was asked for.

    Raises:
        BadInputError: If it is missing, or holds what no HTTP header can carry.
    """
    if config.api_key_block:
        where, key = f"the Prefect Secret block {config.api_key_block!r}", _secret(config.api_key_block, option)
    else:
        where, key = config.key_variable, os.environ.get(config.key_variable, "").strip()
        if not key and (config.api_key_env or config.name == "openai"):
            raise BadInputError(
                f"{option} {config.name}: no key, {where} is not set; wanted the server's key there, or in a Prefect"
                " Secret block"
            )
    if not all("!" <= sign <= "~" for sign in key):  # an HTTP library would repeat it in its message
        raise BadInputError(
            f"{option} {config.name}: the key in {where} holds blanks or signs beyond ASCII; wanted the key alone"
        )
    return key


def _secret(name: str, option: str) -> str:
    from prefect.blocks.system import Secret

    try:
        return str(Secret.load(name).get()).strip()
    except ValueError:
        raise BadInputError(
            f"{option}: there is no Prefect Secret block {name!r}; wanted one with the server's key, made in the"
            " Prefect UI"
        ) from None


def inspect_provider(config: ProviderConfig, option: str = "--translator") -> ProviderConfig:
    """Look at what can be seen without asking; return the settings with a local model's digest.

    Raises:
        BadInputError: If model or address is missing or not allowed, or a local model's folder is not fit for
            questions.
    """
    _check(config, option)
    return replace(config, digest=_local_model(config, option).digest) if config.name == "huggingface" else config


def _check(config: ProviderConfig, option: str) -> None:
    try:
        check_provider(config, option)
    except ValueError as error:
        raise BadInputError(str(error)) from None


def _local_model(config: ProviderConfig, option: str) -> CheckpointRef:
    checkpoint = inspect_model(config.model, place(option, "model"))
    if not has_chat_template(checkpoint):
        raise BadInputError(
            f"{place(option, 'model')} {config.model}: its tokenizer has no chat template; wanted an instruct model"
        )
    return checkpoint


def require_answering(config: ProviderConfig, option: str = "--translator") -> None:
    """Ask the server for its models, and where the wanted one is not among them, for a short completion by it.

    Raises:
        BadInputError: If it does not answer, wants another key, is no such server or does not have the model.
    """
    if not config.served:
        return
    import openai

    once = replace(config, retries=0, timeout_s=min(config.timeout_s, CHECK_S))
    with chat_models.server_model(once, api_key(config, option)) as model:
        try:
            names = [str(listed.id) for listed in model.root_client.models.list()]
        except (openai.NotFoundError, openai.InternalServerError):
            names = []  # some servers have no list, or fail to make one
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise BadInputError(f"{place(option, 'url')} {config.url}: {_fault(error, once)}") from None
        if config.model not in names:
            _require_completion(model, config, names, option)


def _require_completion(model: Any, config: ProviderConfig, names: list[str], option: str) -> None:
    """Some servers load what is not on their list, which takes its time, and some have no list."""
    import openai

    # a server that failed before may have hung up
    client = model.root_client.with_options(timeout=config.timeout_s, max_retries=1)
    try:
        client.chat.completions.create(
            model=config.model, messages=[{"role": "user", "content": "Say yes."}], extra_body={"max_tokens": 1}
        )
    except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
        if names or isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError)):
            shown = (
                f"one of {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "a model that it has"
            )
            raise BadInputError(
                f"{place(option, 'model')} {config.model}: the server at {config.url} does not have it; wanted {shown}"
            ) from None
        raise BadInputError(f"{place(option, 'url')} {config.url}: {_fault(error, config)}") from None


def _fault(error: Exception, config: ProviderConfig) -> str:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return f"the server does not answer within {config.timeout_s:g} s; wanted one that is up"
    if isinstance(error, openai.APIConnectionError):
        return "nothing answers there; wanted a running server"
    if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
        where = f"the Prefect Secret block {config.api_key_block!r}" if config.api_key_block else config.key_variable
        return f"the server refuses the key (status {error.status_code}); wanted a valid one in {where}"
    status = (
        f"status {error.status_code}"
        if isinstance(error, openai.APIStatusError)
        else "no models and no chat completions"
    )
    return (
        f"the server answers with {status}; wanted an OpenAI-compatible one and its address up to the version, such as"
        " http://127.0.0.1:8000/v1"
    )
