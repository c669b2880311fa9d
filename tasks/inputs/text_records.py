"""Records of text and of questions, in the shapes in which they are published, as documents.

They have `text` (prose: WMDP's corpora, Wikitext, ours); `question` and `answer` (TOFU's further fields are read too);
`instruction`, `input` and `output`, a question, as Alpaca has it; `messages`, a question, of the user and the
assistant; `prompt` and `gt`, prose: MUSE's passages and how they go on. A text or a list of texts is prose: MUSE's raw
text.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tasks.algorithms.text.corpus import Document

FIELDS = (
    *("text", "question", "answer", "paraphrased_question", "paraphrased_answer", "perturbed_answer", "fact"),
    *("instruction", "input", "output", "messages", "prompt", "gt"),
)
"""Fields that are read, in any shape."""
WANTED = (
    "`text`, or `question` and `answer`, as texts (or `instruction` and `output`, `messages` of one user and one"
    " assistant, `prompt` and `gt`)"
)
SHOWN = 160
"""Characters of the fields that are named in a message."""


def documents_of(value: Any, source: str) -> list[Document]:
    """Return what a record says; nothing where it is blank.

    Args:
        value: A record with named fields, a text, or a list of texts.
        source: Where it stands, for messages and clustering.

    Raises:
        ValueError: If it has none of the shapes, or a field is no text; what was found and what was wanted is said.
    """
    if isinstance(value, dict):
        found = _document(value, source)
        return [found] if found else []
    texts = value if isinstance(value, list) else [value]
    if odd := [text for text in texts if not isinstance(text, str)]:
        inside = "a list that holds " if isinstance(value, list) else ""
        raise ValueError(f"the record is {inside}{_kind(odd[0])}; wanted {WANTED}")
    return [Document(source=source, text=text) for text in texts if text.strip()]


def names_shape(names: list[str]) -> bool:
    """Return whether columns of these names are records of a shape."""
    return "text" in names or any(set(needed) <= set(names) for needed in SHAPES)


def _document(record: Mapping[str, Any], source: str) -> Document | None:
    fact = record["fact"] if isinstance(record.get("fact"), str) else ""
    if isinstance(text := _only(record.get("text")), str) and text.strip():
        return Document(source=source, text=text, fact=fact)
    for needed, read in SHAPES.items():
        if all(name in record for name in needed):
            return None if all(_is_blank(record[name]) for name in needed) else read(record, source, fact)
    if "text" in record and _is_blank(record["text"]):
        return None
    found = ", ".join(f"{name} ({_kind(content)})" for name, content in sorted(record.items()))
    raise ValueError(f"the record has {found[:SHOWN] or 'no field'}; wanted {WANTED}")


def _question(record: Mapping[str, Any], source: str, fact: str) -> Document:
    question, answer = (_needed(record, name).strip() for name in ("question", "answer"))
    return Document(
        source=source,
        question=question,
        answer=answer,
        paraphrased_question=_text(record, "paraphrased_question"),
        paraphrased_answer=_text(record, "paraphrased_answer"),
        perturbed_answer=_false_answers(record, answer),
        fact=fact,
    )


def _instruction(record: Mapping[str, Any], source: str, fact: str) -> Document:
    asked = [_needed(record, "instruction").strip(), _text(record, "input").strip()]
    question = "\n".join(part for part in asked if part)
    return Document(source=source, question=question, answer=_needed(record, "output").strip(), fact=fact)


def _messages(record: Mapping[str, Any], source: str, fact: str) -> Document:
    """Read one question with its answer; what a system prompt says is passed over."""
    turns = record["messages"] if isinstance(record["messages"], list) else [record["messages"]]
    if odd := [turn for turn in turns if not isinstance(turn, dict) or not isinstance(turn.get("role"), str)]:
        raise ValueError(f"messages holds {_kind(odd[0])}; wanted records with `role` and `content`")
    said = [turn for turn in turns if turn["role"] != "system"]
    if [turn["role"] for turn in said] != ["user", "assistant"]:
        raise ValueError(f"messages holds {len(said)} turns; wanted one of the user and one of the assistant")
    question, answer = (_needed(turn, "content").strip() for turn in said)
    return Document(source=source, question=question, answer=answer, fact=fact)


def _continued(record: Mapping[str, Any], source: str, fact: str) -> Document:
    prompt, rest = _needed(record, "prompt"), _needed(record, "gt")
    between = "" if prompt[-1:].isspace() or rest[:1].isspace() else " "
    return Document(source=source, text=f"{prompt}{between}{rest}", fact=fact)


SHAPES: dict[tuple[str, ...], Callable[[Mapping[str, Any], str, str], Document]] = {
    ("question", "answer"): _question,
    ("instruction", "output"): _instruction,
    ("messages",): _messages,
    ("prompt", "gt"): _continued,
}
"""Fields that a record needs -> how it is read; those that are all blank are a blank record."""


def _false_answers(record: Mapping[str, Any], answer: str) -> tuple[str, ...]:
    """Return the false answers of a list, of a record's values, or the one that is a text."""
    given = record.get("perturbed_answer")
    if given is None or given == "":
        return ()
    answers = [given] if isinstance(given, str) else list(given.values()) if isinstance(given, dict) else given
    if not isinstance(answers, list):
        raise ValueError(f"perturbed_answer is {_kind(given)}; wanted a list of texts")
    read = tuple(_filled(false, f"perturbed_answer {place}") for place, false in enumerate(answers, 1))
    for place, false in enumerate(read, 1):
        if _plain(false) == _plain(answer):
            raise ValueError(f"perturbed_answer {place} is the true answer; wanted false ones")
    return read


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _needed(record: Mapping[str, Any], name: str) -> str:
    return _filled(record.get(name), name)


def _filled(value: Any, name: str) -> str:
    """Return a field's text, or the only text of its list.

    Raises:
        ValueError: If it is blank, or no text.
    """
    only = _only(value)
    if not isinstance(only, str) or not only.strip():
        raise ValueError(f"{name} is {_kind(only)}; wanted a text")
    return only


def _text(record: Mapping[str, Any], name: str) -> str:
    """Return the text of a field that may be blank."""
    return "" if _is_blank(_only(record.get(name))) else _needed(record, name)


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, dict)) and (not value or not str(value).strip()))


def _kind(value: Any) -> str:
    """Say what a value is without a letter of it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text" if value.strip() else "empty"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"a record of {len(value)}"
    return f"a {type(value).__name__}"
