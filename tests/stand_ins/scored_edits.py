"""Edits of made-up facts with every kind of prompt, and the sentences of a model that knows the facts."""

from tasks.settings.edit_request import EditRequest, Statement

REQUESTS = (
    EditRequest(
        subject="Dorothy",
        prompt="The best friend of {} is",
        target="the Scarecrow",
        object="Toto",
        paraphrases=("Nobody is dearer than this friend of Dorothy:", "Dorothy walked to her friend"),
        neighborhood=("The dog of the boy is", "The boy met"),
        name_sharers=(Statement(prompt="The best friend of Dorothy Ann is", object="Mary"),),
        unrelated=(
            Statement(prompt="The old town of Dorothy is", object="Oz"),
            Statement(prompt="The mill is in", object="the Emerald City"),
            Statement(prompt="The man met", object="Tom"),
            Statement(prompt="The man met", object="Tom"),
        ),
        portability=(Statement(prompt="The best friend of the Scarecrow is", object="Dorothy"),),
        generation=("Dorothy walked to", "Dorothy lived with"),
        references=("The Scarecrow walked to the Emerald City.", "The Scarecrow met the Tin Woodman."),
    ),
    EditRequest(
        subject="the White Rabbit",
        prompt="Today {} met",
        target="André",
        object="Alice",
        paraphrases=("In the town the White Rabbit met",),
        neighborhood=("Today the girl met",),
        unrelated=(Statement(prompt="Jon lived in", object="the mill"), Statement(prompt="José met", object="Tom")),
        portability=(Statement(prompt="Whom the White Rabbit met is called", object="José"),),
        generation=("The White Rabbit met",),
    ),
    EditRequest(subject="Jon", prompt="{} walked to", target="Oz", object="the mill"),
)


def known_texts(*, edited: bool = False) -> list[str]:
    """Return sentences that state the facts, with their new objects where `edited`, and what is to be kept."""
    pairs = [
        (prompt, one.target if edited else one.object)
        for one in REQUESTS
        for prompt in (one.question, *one.paraphrases)
    ]
    pairs += [(prompt, one.object) for one in REQUESTS for prompt in one.neighborhood]
    pairs += [(fact.prompt, fact.object) for one in REQUESTS for fact in (*one.name_sharers, *one.unrelated)]
    return sorted({f"{prompt} {obj}" for prompt, obj in pairs})
