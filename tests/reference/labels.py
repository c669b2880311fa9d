"""Generic labels of one block, restated: one unpadded block at a time, bytes instead of offsets, loops instead of
gathers.

    v_generic = v_baseline - alpha * max(0, v_reinforced - v_baseline)          (arXiv:2310.02238; METHODS, section 1)

Two positions stand for each other when the bytes that the source has read, anchors replaced, are the bytes that the
translation has read. Rules (ii) to (v) are written out position by position.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch

LEADS = ("", " ", "\n", '"')


@dataclass(frozen=True)
class Expected:
    """What a position is labelled with (None: nothing) and how far the winner is ahead of the second, in logits."""

    label: int | None
    gap: float


def byte_of_letter() -> dict[str, int]:
    """The printable stand-ins of byte-level BPE, back to bytes."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + rank): byte for rank, byte in enumerate(others)}


def bytes_read(tokenizer, ids) -> list[bytes]:
    """For every position the bytes of all tokens up to and including it; a special token counts as bytes that no text
    holds.
    """
    table, read, prefixes = byte_of_letter(), b"", []
    for token in ids:
        letters = tokenizer.convert_ids_to_tokens(int(token))
        read += b"\xff\xfe" if int(token) in tokenizer.all_special_ids else bytes(table[letter] for letter in letters)
        prefixes.append(read)
    return prefixes


def occurrences(text: str, terms) -> list[tuple[int, int]]:
    """Walk the characters; at each, try the terms, the longest first; words only."""
    found, at = [], 0
    while at < len(text):
        for term in sorted(terms, key=len, reverse=True):
            end = at + len(term)
            if text[at:end] == term and not is_word(text[at - 1 : at]) and not is_word(text[end : end + 1]):
                found.append((at, end))
                at = end
                break
        else:
            at += 1
    return found


def is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def own_occurrences(text: str, dictionary, own) -> list[tuple[int, int]]:
    """`occurrences`, in a conversation only those within its question and its answer: `own`, which stand in the text in
    this order, last.
    """
    if not own:
        return occurrences(text, dictionary)
    answer = text.rindex(own[1])
    asked = text.rindex(own[0], 0, answer)
    return [
        (at + start, at + stop)
        for at, part in zip((asked, answer), own, strict=True)
        for start, stop in occurrences(part, dictionary)
    ]


def reference_image(tokenizer, source, translated, dictionary, own=()) -> list[int | None]:
    """For every source position the translated position that has read the same text."""
    whole = bytes_read(tokenizer, source)
    theirs = bytes_read(tokenizer, translated)
    text = whole[-1].decode("utf-8", "surrogateescape") if whole else ""
    spans = own_occurrences(text, dictionary, own)
    image = []
    for read in whole:
        wanted = translated_prefix(read, text, spans, dictionary)
        image.append(theirs.index(wanted) if wanted in theirs else None)
    return image


def translated_prefix(read: bytes, text: str, spans, dictionary) -> bytes | None:
    """The bytes that the translation has read when the source has read `read`; None inside an anchor."""
    letters = 0
    while letters < len(text) and len(as_bytes(text[: letters + 1])) <= len(read):
        letters += 1
    part = read[len(as_bytes(text[:letters])) :]  # of a letter of several bytes
    result, at = b"", 0
    for start, stop in spans:
        if start < letters < stop or (part and start <= letters < stop):
            return None
        if stop <= letters:
            result += as_bytes(text[at:start]) + as_bytes(dictionary[text[start:stop]])
            at = stop
    return result + as_bytes(text[at:letters]) + part


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def anchor_tokens(tokenizer, source, dictionary, own=()) -> list[tuple[int, int, str]]:
    """(s, e, term): tokens s ... e - 1 hold the anchor's bytes."""
    whole = bytes_read(tokenizer, source)
    text = whole[-1].decode("utf-8", "surrogateescape")
    found = []
    for start, stop in own_occurrences(text, dictionary, own):
        first, last = len(as_bytes(text[:start])), len(as_bytes(text[:stop]))
        s = next(position for position, read in enumerate(whole) if len(read) > first)
        e = next(position for position, read in enumerate(whole) if len(read) >= last) + 1
        found.append((s, e, text[start:stop]))
    return found


def first_token(tokenizer, lead: str, generic: str) -> tuple[int, bool]:
    """The token in which `generic` begins after `lead`, and whether it holds the whole first word."""
    ids = tokenizer(lead + generic, add_special_tokens=False)["input_ids"]
    reads = bytes_read(tokenizer, ids)
    at = next(position for position, read in enumerate(reads) if len(read) > len(as_bytes(lead)))
    return ids[at], len(reads[at]) >= len(as_bytes(lead + generic.split()[0]))


def logits_of(model, ids) -> np.ndarray:
    """Logits of one unpadded block in float64, (seq, vocab), by the model's own forward pass."""
    with torch.no_grad():
        return copy.deepcopy(model).cpu().double().eval()(input_ids=torch.tensor([list(ids)])).logits[0].numpy()


def log_softmax(row: np.ndarray) -> np.ndarray:
    return row - row.max() - np.log(np.exp(row - row.max()).sum())


def generic_row(baseline: np.ndarray, reinforced: np.ndarray, alpha: float, relu_on: str) -> np.ndarray:
    """The generic logits of one position."""
    if relu_on == "log_probabilities":
        baseline, reinforced = log_softmax(baseline), log_softmax(reinforced)
    return baseline - alpha * np.maximum(0.0, reinforced - baseline)


def reference_labels(
    tokenizer,
    source,
    translated,
    dictionary,
    baseline,
    reinforced,
    *,
    separator=0,
    alpha=5.0,
    relu_on="logits",
    interior="suppress",
    drop_repeats=True,
    suppress=True,
    own=(),
) -> list[Expected]:
    """Label one block, rules (ii) to (v); repetition and suppression end with the document, after a `separator`.

    With `own` = (question, answer) the block is a conversation: labels stand where the next token is of the answer or
    after it.
    """
    image = reference_image(tokenizer, source, translated, dictionary, own)
    spans = anchor_tokens(tokenizer, source, dictionary, own)
    reads = bytes_read(tokenizer, source)
    asked = len(reads[-1][: reads[-1].rindex(as_bytes(own[1]))]) if own else -1
    starts = {term: [first_token(tokenizer, lead, generic) for lead in LEADS] for term, generic in dictionary.items()}
    on_translated, on_source = logits_of(baseline, translated), logits_of(baseline, source)
    on_reinforced = logits_of(reinforced, source)
    document = [list(source[:t]).count(separator) for t in range(len(source))]
    expected = []
    for t in range(len(source)):
        inner = any(s <= t <= e - 2 for s, e, _ in spans)
        opening = interior == "suppress" and any(t == s - 1 for s, _, _ in spans)
        repeated = False
        for number, (s, e, term) in enumerate(spans):
            before = [(document[other], name) for other, _, name in spans[:number]]
            repeated |= s - 1 <= t <= e - 2 and (document[s], term) in before
        markup = own and (t == len(source) - 1 or len(reads[t + 1]) <= asked)
        if markup or (repeated and drop_repeats) or (inner and interior == "drop") or (not inner and image[t] is None):
            expected.append(Expected(None, np.inf))
            continue
        seen = (
            [pair for s, e, term in spans if e - 1 <= t and document[s] == document[t] for pair in starts[term]]
            if suppress
            else []
        )
        whole = {token for token, complete in seen if complete}
        fragments = {token for token, complete in seen if not complete}
        row = generic_row(on_source[t] if inner else on_translated[image[t]], on_reinforced[t], alpha, relu_on)
        row[sorted(whole | ({source[t + 1]} if inner or opening else set()))] = -np.inf
        best, second = np.sort(row)[::-1][:2]
        label = int(row.argmax())
        expected.append(Expected(None if label in fragments else label, float(best - second)))
    return expected
