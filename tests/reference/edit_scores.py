"""Scores of edits restated in float64: one prompt, one object, one unpadded text at a time (METHODS, section 2)."""

import math
import re

from tests.reference.labels import bytes_read, log_softmax, logits_of


def object_tokens(tokenizer, prompt: str, obj: str) -> tuple[list[int], int]:
    """Tokens of "prompt object", and which is the first that reads beyond the prompt."""
    ids = tokenizer(f"{prompt} {obj}", add_special_tokens=False)["input_ids"]
    read = bytes_read(tokenizer, ids)
    return ids, [len(text) > len(prompt.encode()) for text in read].index(True)


def token_scores(model, tokenizer, prompt: str, obj: str) -> list[tuple[float, bool]]:
    """log p in nats and whether it is the first choice, of each token of the object."""
    ids, first = object_tokens(tokenizer, prompt, obj)
    logits = logits_of(model, ids)
    rows = [log_softmax(logits[at - 1]) for at in range(first, len(ids))]
    return [(float(row[token]), int(row.argmax()) == token) for row, token in zip(rows, ids[first:], strict=True)]


def p(model, tokenizer, prompt: str, obj: str) -> float:
    """Geometric mean of the object's token probabilities."""
    found = token_scores(model, tokenizer, prompt, obj)
    return math.prod(math.exp(log_p) for log_p, _ in found) ** (1 / len(found))


def greedy(model, tokenizer, prompt: str, tokens: int) -> list[int]:
    """The first choice, again and again."""
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    for _ in range(tokens):
        ids = [*ids, int(logits_of(model, ids)[-1].argmax())]
    return ids[len(ids) - tokens :]


def completes(model, tokenizer, prompt: str, obj: str) -> float:
    """Whether greedy generation from the prompt says the object's tokens."""
    ids, first = object_tokens(tokenizer, prompt, obj)
    return float(greedy(model, tokenizer, prompt, len(ids) - first) == ids[first:])


def accuracy(model, tokenizer, prompt: str, obj: str) -> float:
    """Share of the object's tokens that are first choices."""
    return mean([hit for _, hit in token_scores(model, tokenizer, prompt, obj)])


def mean(values) -> float:
    """Arithmetic mean."""
    return math.fsum(values) / len(values)


def scores(model, tokenizer, request) -> dict[str, float]:
    """Every score of one edit that its prompts allow, but for those of written texts."""
    new, old, edited = request.target, request.object, request.prompt.replace("{}", request.subject)

    def over(prompts, value) -> float | None:
        return mean([float(value(prompt)) for prompt in prompts]) if prompts else None

    def ahead(prompt: str) -> float:
        return p(model, tokenizer, prompt, new) - p(model, tokenizer, prompt, old)

    def said(obj: str):
        return lambda prompt: completes(model, tokenizer, prompt, obj)

    def stated(statements, measure) -> float | None:
        return over(statements, lambda fact: measure(model, tokenizer, fact.prompt, fact.object))

    def sharer_lead(fact) -> float:
        return p(model, tokenizer, fact.prompt, fact.object) - p(model, tokenizer, fact.prompt, new)

    found = {
        "es": over([edited], lambda prompt: ahead(prompt) > 0),
        "em": over([edited], ahead),
        "ps": over(request.paraphrases, lambda prompt: ahead(prompt) > 0),
        "pm": over(request.paraphrases, ahead),
        "ns": over(request.neighborhood, lambda prompt: ahead(prompt) < 0),
        "nm": over(request.neighborhood, lambda prompt: -ahead(prompt)),
        "ns_name_sharers": over(request.name_sharers, lambda fact: sharer_lead(fact) > 0),
        "nm_name_sharers": over(request.name_sharers, sharer_lead),
        "rewrite_new_share": over([edited], said(new)),
        "rewrite_old_share": over([edited], said(old)),
        "paraphrase_new_share": over(request.paraphrases, said(new)),
        "paraphrase_old_share": over(request.paraphrases, said(old)),
        "neighborhood_new_share": over(request.neighborhood, said(new)),
        "neighborhood_old_share": over(request.neighborhood, said(old)),
        "name_sharers_new_share": over([fact.prompt for fact in request.name_sharers], said(new)),
        "name_sharers_own_share": stated(request.name_sharers, completes),
        "rewrite_new_probability": over([edited], lambda prompt: p(model, tokenizer, prompt, new)),
        "rewrite_old_probability": over([edited], lambda prompt: p(model, tokenizer, prompt, old)),
        "paraphrase_new_probability": over(request.paraphrases, lambda prompt: p(model, tokenizer, prompt, new)),
        "paraphrase_old_probability": over(request.paraphrases, lambda prompt: p(model, tokenizer, prompt, old)),
        "zsre_rewrite": over([edited], lambda prompt: accuracy(model, tokenizer, prompt, new)),
        "zsre_paraphrase": over(request.paraphrases, lambda prompt: accuracy(model, tokenizer, prompt, new)),
        "zsre_unrelated": stated(request.unrelated, accuracy),
        "portability": stated(request.portability, accuracy),
        "portability_share": stated(request.portability, completes),
    }
    return {name: value for name, value in found.items() if value is not None}


def alteration(before, after, tokenizer, facts) -> float:
    """Share of facts to which two models say something else, greedily, in as many tokens as the fact's object has."""
    changed = []
    for fact in facts:
        ids, first = object_tokens(tokenizer, fact.prompt, fact.object)
        size = len(ids) - first
        changed.append(greedy(before, tokenizer, fact.prompt, size) != greedy(after, tokenizer, fact.prompt, size))
    return mean([float(one) for one in changed])


def n_gram_entropy(text: str) -> float:
    """(2/3 H_2 + 4/3 H_3) / 2, in bits."""
    words = re.findall(r"\w+|[^\w\s]", text)
    total = 0.0
    for size, weight in ((2, 2 / 3), (3, 4 / 3)):
        grams = [" ".join(words[at : at + size]) for at in range(len(words) - size + 1)]
        for gram in set(grams):
            share = sum(one == gram for one in grams) / len(grams)
            total -= weight * share * math.log2(share)
    return total / 2


def reference_score(text: str, reference: str, documents: list[str]) -> float:
    """Cosine of term frequency times (1 + log((1 + documents) / (1 + documents with the term))) over known terms."""

    def terms(of: str) -> list[str]:
        return re.findall(r"\b\w\w+\b", of.lower())

    known = sorted({term for document in documents for term in terms(document)})

    def vector(of: str) -> list[float]:
        holding = [sum(term in terms(document) for document in documents) for term in known]
        return [
            terms(of).count(term) * (1 + math.log((1 + len(documents)) / (1 + count)))
            for term, count in zip(known, holding, strict=True)
        ]

    one, other = vector(text), vector(reference)
    lengths = math.sqrt(sum(value**2 for value in one)) * math.sqrt(sum(value**2 for value in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def perplexity(model, ids: list[int]) -> float:
    """exp of the mean loss of all tokens but the first."""
    logits = logits_of(model, ids)
    return math.exp(-mean([float(log_softmax(logits[at - 1])[ids[at]]) for at in range(1, len(ids))]))
