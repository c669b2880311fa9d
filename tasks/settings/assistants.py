"""What other language models are asked for in a run, which of them answers, and how it is reached."""

import ipaddress
import math
from dataclasses import field, replace
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from tasks.settings.schema import check_choices, settings

ProviderName = Literal["offline", "huggingface", "openai-compatible", "openai"]
"""`openai` is `openai-compatible` with that company's own address and key variable."""
OPENAI_URL = "https://api.openai.com/v1"
SECTIONS = {"--prompt-writer": "prompting", "--judge": "judging"}
"""Options of providers that have no further options of their own -> where their settings stand."""
HOW = {"keyed": False}
"""Marks a setting that says how a model is reached, not what it answers: no part of cache keys."""


@settings
class ProviderConfig:
    """A language model that is asked something."""

    name: ProviderName = "offline"
    """`offline`: none is asked; `huggingface`: a local instruct model; `openai-compatible`: a server such as vLLM,
    Ollama or llama.cpp; `openai`."""
    model: str = ""
    """Folder of the local model, or the name under which the server has it."""
    base_url: str = ""
    """Address of the server up to the version, such as http://127.0.0.1:8000/v1."""
    max_tokens: int = 2048
    """Tokens of an answer, >= 1; where they run out, the complete part of the answer counts."""
    seed: int = 0
    """Passed to the server; the temperature is always 0."""
    digest: str = ""
    """Of a local model's files; filled in when the model is looked at."""
    timeout_s: float = field(default=120.0, metadata=HOW)
    """Seconds that an answer may take, > 0."""
    retries: int = field(default=4, metadata=HOW)
    """Further tries after a timeout or a status of 408, 409, 429 or 5xx, with exponential backoff, >= 0."""
    concurrency: int = field(default=4, metadata=HOW)
    """Questions that a server is asked at the same time, >= 1."""
    api_key_env: str = field(default="", metadata=HOW)
    """Environment variable with the server's key; empty: LETHE_API_KEY, where it is set, or OPENAI_API_KEY for
    `openai`."""
    api_key_block: str = field(default="", metadata=HOW)
    """Prefect Secret block with the key; it wins over the environment."""
    allow_remote: bool = field(default=False, metadata=HOW)
    """Whether what is asked may leave this machine."""

    def __post_init__(self) -> None:
        check_choices(self, "provider")
        if self.timeout_s <= 0:
            raise ValueError(f"provider.timeout_s is {self.timeout_s}; wanted a number > 0")
        for name, least in {"max_tokens": 1, "retries": 0, "concurrency": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"provider.{name} is {getattr(self, name)}; wanted a whole number >= {least}")
        _check_url(self.base_url)

    @property
    def served(self) -> bool:
        """Whether a server is asked."""
        return self.name in ("openai-compatible", "openai")

    @property
    def url(self) -> str:
        """The server's address."""
        return (self.base_url or (OPENAI_URL if self.name == "openai" else "")).rstrip("/")

    @property
    def title(self) -> str:
        """What tables call the model: its name on the server, or the last part of its folder."""
        return self.model if self.served else self.model.rstrip("/").rpartition("/")[2]

    @property
    def key_variable(self) -> str:
        """The environment variable that may hold the key."""
        return self.api_key_env or ("OPENAI_API_KEY" if self.name == "openai" else "LETHE_API_KEY")


def _check_url(url: str) -> None:
    """Addresses are logged, so they hold no secrets; the messages repeat no part that could be one."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(
            "provider.base_url does not parse; wanted an address such as http://127.0.0.1:8000/v1"
        ) from None
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(
            f"provider.base_url begins with {url.split(':')[0][:12]!r}; wanted http:// or https:// and a host, such as"
            " http://127.0.0.1:8000/v1"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "provider.base_url holds a user name or a query, which would be logged; wanted a bare address, and the key"
            " in the environment"
        )


def is_loopback(url: str) -> bool:
    """Return whether an address is on this machine by its looks: localhost, 127.0.0.0/8 or ::1; no name is
    looked up.
    """
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host) in (_LOOPBACK6 if ":" in host else _LOOPBACK4)
    except ValueError:
        return False


_LOOPBACK4, _LOOPBACK6 = ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")


def like(provider: ProviderConfig, translator: ProviderConfig) -> ProviderConfig:
    """Return a provider with what its own settings leave open taken from the translator's, unless that is of another
    kind.

    A server of its own address gets nobody else's key.
    """
    if provider.name == "offline" or translator.name not in ("offline", provider.name):
        return provider
    inherited = (
        ("model",) if provider.base_url else ("model", "base_url", "api_key_env", "api_key_block", "allow_remote")
    )
    return replace(provider, **{name: getattr(provider, name) or getattr(translator, name) for name in inherited})


def place(option: str, what: str) -> str:
    """Return where a provider's `model` or `url` is given: the translator's options serve for all, a setting for one
    alone.
    """
    section = SECTIONS.get(option, "")
    return (
        f"--translator-{what} (or {section}.provider.{'base_url' if what == 'url' else what})"
        if section
        else f"{option}-{what}"
    )


def check_provider(config: ProviderConfig, option: str) -> None:
    """Check that the settings name a model that may be asked.

    Args:
        config: The settings.
        option: The command line's option for the provider, for messages.

    Raises:
        ValueError: If model or address is missing, or text would leave this machine without permission.
    """
    if config.name == "offline":
        return
    if config.served and not config.url:
        raise ValueError(
            f"{option} {config.name}: no address; wanted {place(option, 'url')}, such as http://127.0.0.1:8000/v1"
        )
    if config.served and not is_loopback(config.url) and not config.allow_remote:
        host = urlsplit(config.url).hostname
        raise ValueError(
            f"{place(option, 'url')}: {host} is another machine, and text that is to be forgotten would leave this one;"
            " wanted a server on localhost, or --allow-remote-translator"
        )
    if not config.model:
        what = "the name of a model that the server has" if config.served else "the folder of an instruct model"
        raise ValueError(f"{option} {config.name}: no model; wanted {place(option, 'model')} with {what}")


Fallback = Literal["none", "offline"]
"""What becomes of a stage whose language model cannot be asked."""


@settings
class AskingConfig:
    """A language model, and what is done without it."""

    section: ClassVar[str] = ""
    """Where the settings stand."""
    option: ClassVar[str] = ""
    """The provider's option on the command line."""
    without: ClassVar[str] = ""
    """What a run goes on with where the model cannot be asked."""
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {}
    """Setting -> its least and, where there is one, its highest value."""
    provider: ProviderConfig = ProviderConfig()
    """The language model that is asked; `offline`: none."""
    fallback: Fallback = "none"
    """What is done where the provider cannot be asked at all: `none` ends the run, `offline` goes on without it."""

    def __post_init__(self) -> None:
        check_choices(self, self.section)
        for name, (least, most) in self.bounds.items():
            if not least <= getattr(self, name) <= (most or math.inf):
                allowed = f"from {least} to {most}" if most else f">= {least}"
                raise ValueError(f"{self.section}.{name} is {getattr(self, name)}; wanted a whole number {allowed}")


@settings
class TranslationConfig(AskingConfig):
    """Who translates anchors: a user's own dictionary first, then the provider's model, and the offline translator
    whatever is left: ordinary words from pools, the same for all forms of a name.
    """

    section: ClassVar[str] = "translation"
    option: ClassVar[str] = "--translator"
    without: ClassVar[str] = "the offline translator"
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {"batch": (1, 100), "context_characters": (0, None)}
    batch: int = 30
    """Anchors in one question, 1 to 100."""
    context_characters: int = 160
    """Characters of the sentence that shows how an anchor is used, >= 0; 0 shows none."""
    seed: int = 0
    """Order of the pools."""


@settings
class PromptingConfig(AskingConfig):
    """Who writes the prompts that invite models to speak of the topic: the provider's model, and rules whatever is
    left.
    """

    section: ClassVar[str] = "prompting"
    option: ClassVar[str] = "--prompt-writer"
    without: ClassVar[str] = "prompts that are written offline"
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {"batch": (1, 50), "context_characters": (0, None)}
    batch: int = 10
    """Prompts asked for in one question, 1 to 50, and anchors shown for them."""
    context_characters: int = 160
    """Characters of the sentence that shows how an anchor is used, >= 0; 0 shows none."""


@settings
class JudgingConfig(AskingConfig):
    """Who rates how much of the topic a completion knows: the provider's model, or nobody."""

    section: ClassVar[str] = "judging"
    option: ClassVar[str] = "--judge"
    without: ClassVar[str] = "no judge"
    bounds: ClassVar[dict[str, tuple[int, int | None]]] = {
        "batch": (1, 50),
        "characters": (50, None),
        "names": (0, None),
    }
    batch: int = 10
    """Completions in one question, 1 to 50; two whose score is known stand among them."""
    characters: int = 600
    """Characters that are shown of a prompt, its last, and of a completion, its first, >= 50."""
    names: int = 40
    """Names of the topic that the judge is told, the most frequent ones, >= 0."""
