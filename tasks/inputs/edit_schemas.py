"""The schemas in which edits and facts are published, each read into our own records.

Fields that are of no use here are passed over: CounterFact's `attribute_prompts` belong to no score.

A prompt marks its subject by `{}`, or holds it as it is; where it stands there more than once, the last is the one,
since an edit is made at the subject's last token before the object.
"""

import re
from typing import Any

from pydantic import BaseModel, Field

from tasks.settings.edit_request import SUBJECT, EditRequest, Statement


class Named(BaseModel):
    """An object by its name; its Wikidata number is passed over."""

    text: str = Field(alias="str")


class Rewrite(BaseModel):
    """What CounterFact changes."""

    subject: str
    prompt: str
    target_new: Named
    target_true: Named
    relation_id: str = ""


class CounterFact(BaseModel):
    """CounterFact's published record."""

    case_id: int | str = ""
    requested_rewrite: Rewrite
    paraphrase_prompts: tuple[str, ...] = ()
    neighborhood_prompts: tuple[str, ...] = ()
    generation_prompts: tuple[str, ...] = ()

    def request(self) -> EditRequest:
        """Return our own record."""
        rewrite = self.requested_rewrite
        return make_request(
            rewrite.subject,
            rewrite.prompt,
            rewrite.target_new.text,
            object=rewrite.target_true.text.strip(),
            name=str(self.case_id),
            relation=rewrite.relation_id,
            paraphrases=self.paraphrase_prompts,
            neighborhood=self.neighborhood_prompts,
            generation=self.generation_prompts,
        )


class ShortCounterFact(BaseModel):
    """CounterFact's record in its short form, the subject in the prompt."""

    case_id: int | str = ""
    subject: str
    prompt: str
    target_new: str
    ground_truth: str = ""
    rephrase_prompt: str = ""
    locality_prompt: str = ""
    locality_ground_truth: str = ""

    def request(self) -> EditRequest:
        """Return our own record. A neighbor has the object that the subject has today; any other is unrelated."""
        near = not self.locality_ground_truth or self.locality_ground_truth == self.ground_truth
        kept = {"neighborhood": (self.locality_prompt,)} if near else {"unrelated": self._unrelated()}
        return make_request(
            self.subject,
            self.prompt,
            self.target_new,
            object=self.ground_truth.strip(),
            name=str(self.case_id),
            paraphrases=_filled(self.rephrase_prompt),
            **(kept if self.locality_prompt.strip() else {}),
        )

    def _unrelated(self) -> tuple[Statement, ...]:
        return (Statement(prompt=self.locality_prompt, object=self.locality_ground_truth),)


class Portability(BaseModel):
    """A question whose answer follows from the new fact."""

    question: str = Field(alias="New Question")
    answer: str = Field(alias="New Answer")


class ZsRE(BaseModel):
    """A question of zsRE, `alt` its new answer."""

    subject: str
    src: str
    alt: str
    answers: tuple[str, ...] = Field(min_length=1)
    rephrase: str = ""
    loc: str = ""
    loc_ans: str = ""
    portability: Portability | None = None

    def request(self) -> EditRequest:
        """Return our own record. The present object is the true answer, not `pred`, which is another model's; the
        unrelated question keeps its `nq question:` and gets its question mark, as the published evaluation asks it.
        """
        unrelated = Statement(prompt=f"{self.loc.rstrip('? ')}?", object=self.loc_ans) if self.loc else None
        ported = self.portability and Statement(prompt=self.portability.question, object=self.portability.answer)
        return make_request(
            self.subject,
            self.src,
            self.alt,
            object=self.answers[0].strip(),
            paraphrases=_filled(self.rephrase),
            unrelated=tuple(filter(None, (unrelated,))),
            portability=tuple(filter(None, (ported,))),
        )


class KnownFact(BaseModel):
    """A published fact that a model knows."""

    subject: str
    prompt: str
    attribute: str

    def fact(self) -> EditRequest:
        """Return our own record, its subject marked."""
        return make_fact(self.subject, self.prompt, self.attribute)


class Fact(BaseModel):
    """A fact as the stage `facts` writes it."""

    subject: str
    prompt: str
    object: str

    def fact(self) -> EditRequest:
        """Return our own record, its subject marked."""
        return make_fact(self.subject, self.prompt, self.object)


PUBLISHED = {"requested_rewrite": CounterFact, "src": ZsRE, "target_new": ShortCounterFact}
"""Field that only one schema has -> that schema."""


def mark_subject(prompt: str, subject: str) -> str:
    """Return a prompt with `{}` in its subject's place; one that has it already is returned as it is.

    Raises:
        ValueError: If the subject does not stand in the prompt as a word of its own.
    """
    if SUBJECT in prompt:
        return prompt
    places = [match.start() for match in re.finditer(f"(?={re.escape(subject)})", prompt)] if subject else []
    whole = [at for at in places if not _splits_word(prompt, at) and not _splits_word(prompt, at + len(subject))]
    if not whole:
        raise ValueError(
            f"the subject {subject!r} is not in the prompt {prompt!r}; wanted it there as it is, or {SUBJECT} in its"
            " place"
        )
    return f"{prompt[: whole[-1]]}{SUBJECT}{prompt[whole[-1] + len(subject) :]}"


def _splits_word(text: str, at: int) -> bool:
    """Return whether a cut there parts a word: letters of a script that has capitals, or digits, on both sides.
    Scripts without capitals may write words together.
    """
    return 0 < at < len(text) and all(
        character.isdigit() or character.lower() != character.upper() for character in text[at - 1 : at + 1]
    )


def make_request(subject: str, prompt: str, target: str, **more: Any) -> EditRequest:
    """Return a request whose prompt marks its subject, without white space around its parts.

    Raises:
        ValueError: If one is empty, or the subject is not in the prompt.
    """
    subject = subject.strip()
    if not subject:
        raise ValueError(f"the subject of the edit {prompt!r} is empty; wanted a name or a short expression")
    return EditRequest(subject=subject, prompt=mark_subject(prompt, subject).rstrip(" "), target=target.strip(), **more)


def make_fact(subject: str, prompt: str, object_: str) -> EditRequest:
    """Return a fact as a request that its object stay; see `make_request`."""
    return make_request(subject, prompt, object_, object=object_.strip())


def _filled(text: str) -> tuple[str, ...]:
    return (text,) if text.strip() else ()
