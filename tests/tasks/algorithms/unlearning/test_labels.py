"""Claims, each worked by hand: which position gets which label, and where its prediction is read.

Models are written as tables: logits[t] = table[ids[t]], 0 where nothing is said.
"""

import pytest
import torch
from jaxtyping import TypeCheckError
from transformers import PreTrainedTokenizerFast

from tasks.algorithms.tokens.alignment import Block, align_document
from tasks.algorithms.tokens.batching import length_batches
from tasks.algorithms.tokens.packing import join_documents
from tasks.algorithms.unlearning.label_plan import FirstTokens, first_tokens, plan_positions
from tasks.algorithms.unlearning.labels import GenericLabels, generate_labels, generic_logits
from tasks.settings.labels import LabelConfig
from tests.reference.bigram import bigram

Predictions = dict[str, dict[str, float]]
NOTHING = FirstTokens(whole=frozenset(), fragments=frozenset())


class Bench:
    """Write texts and predictions as strings, read labels as strings."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer

    def block(self, text: str, dictionary: dict[str, str]) -> Block:
        return align_document(self.tokenizer, text, dictionary)

    def token(self, text: str) -> int:
        """The last token of `text`: `Toto met` stands for the token Ġmet after Toto."""
        return self.tokenizer(text)["input_ids"][-1]

    def model(self, predictions: Predictions) -> torch.nn.Module:
        table = {
            self.token(a): {self.token(b): logit for b, logit in following.items()}
            for a, following in predictions.items()
        }
        return bigram(len(self.tokenizer), table)

    def labels(
        self, text: str, dictionary: dict[str, str], baseline: Predictions, reinforced: Predictions, **settings: object
    ) -> dict[int, str]:
        """Position -> label."""
        block, config = self.block(text, dictionary), LabelConfig(**settings)
        starts = {term: first_tokens(self.tokenizer, generic) for term, generic in dictionary.items()}
        made = generate_labels(
            self.model(baseline), self.model(reinforced), [block], [plan_positions(block, starts, config)], config, 0
        )
        return dict(zip(made.position.tolist(), self.tokenizer.convert_ids_to_tokens(made.hard.tolist()), strict=True))


@pytest.fixture
def words(word_tokenizer: PreTrainedTokenizerFast) -> Bench:
    return Bench(word_tokenizer)


def reads(block: Block, **settings: object) -> dict[int, int]:
    """Position -> where its prediction is read, for the positions with a label."""
    plan = plan_positions(block, {span.term: NOTHING for span in block.anchors}, LabelConfig(**settings))
    return dict(zip(plan.positions, plan.gather, strict=True))


def test_a_translation_longer_than_its_anchor(words: Bench) -> None:
    # Toto Ġmet ĠDorothy Ġtoday .   ->   Toto Ġmet ĠMary ĠAnn Ġtoday .
    block = words.block("Toto met Dorothy today.", {"Dorothy": "Mary Ann"})
    assert reads(block) == {0: 0, 1: 1, 2: 3, 3: 4, 4: 5}  # s - 1 = 1 reads before ĠMary, e - 1 = 2 reads ĠAnn


def test_a_translation_shorter_than_its_anchor(words: Bench) -> None:
    # Toto Ġmet ĠTin ĠWoodman Ġtoday .   ->   Toto Ġmet ĠTom Ġtoday .
    block = words.block("Toto met Tin Woodman today.", {"Tin Woodman": "Tom"})
    assert reads(block, interior="drop") == {0: 0, 1: 1, 3: 2, 4: 3, 5: 4}  # s = 2 carries no label


def test_interior_tokens_are_read_on_the_source_where_they_are_suppressed(words: Bench) -> None:
    block = words.block("Toto met Tin Woodman today.", {"Tin Woodman": "Tom"})
    plan = plan_positions(block, {"Tin Woodman": NOTHING}, LabelConfig(interior="suppress"))
    assert (plan.positions, plan.gather) == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 2, 3, 4])
    assert plan.interior == [False, False, True, False, False, False]
    opening, inside = words.block("Toto met Tin Woodman today.", {"Tin Woodman": "Tom"}).source[2:4]
    assert plan.banned == [(1, opening), (2, inside)]  # the true next token, before the anchor and in it


def test_an_anchor_at_the_start_of_a_block(words: Bench) -> None:
    # Tin ĠWoodman Ġmet   ->   Tom Ġmet : no position predicts Tin, the interior one carries no label
    block = words.block("Tin Woodman met", {"Tin Woodman": "Tom"})
    assert reads(block, interior="drop") == {1: 0, 2: 1}


def test_an_anchor_at_the_end_of_a_block_keeps_the_last_label(words: Bench) -> None:
    # Toto Ġmet ĠDorothy   ->   Toto Ġmet ĠMary ĠAnn
    block = words.block("Toto met Dorothy", {"Dorothy": "Mary Ann"})
    assert reads(block) == {0: 0, 1: 1, 2: 3}


def test_the_last_position_of_a_block_is_labelled_and_labels_are_not_shifted(words: Bench) -> None:
    """The label at t is what the model says after token t, never what stood at t or t + 2."""
    says = {"Toto": {"Toto met": 2.0}, "Toto met": {"a boy": 2.0}, "met today": {"today.": 2.0}}
    found = words.labels("Toto met today", {"Dorothy": "Mary"}, says, {})
    assert found == {0: "Ġmet", 1: "Ġboy", 2: "."}


def test_the_label_is_the_argmax_of_the_generic_logits(words: Bench) -> None:
    baseline = {"met Mary": {"met today": 3.0, "to Dorothy": 2.0, "a boy": 1.0}}
    reinforced = {"met Dorothy": {"met today": 3.5, "to Dorothy": 2.0, "a boy": 0.0}}
    # today: 3.0 - 5 * 0.5 = 0.5; Dorothy: 2.0 - 0 = 2.0; boy: 1.0 - 5 * max(0, -1) = 1.0
    assert words.labels("met Dorothy", {"Dorothy": "Mary"}, baseline, reinforced)[1] == "ĠDorothy"
    # alpha = 1: today 3.0 - 0.5 = 2.5
    assert words.labels("met Dorothy", {"Dorothy": "Mary"}, baseline, reinforced, alpha=1)[1] == "Ġtoday"


def test_alpha_0_leaves_the_baseline_on_the_translation(words: Bench) -> None:
    baseline = {"met Mary": {"met today": 3.0}, "met": {"a boy": 1.0}}
    reinforced = {"met Dorothy": {"met today": 99.0}, "met": {"a boy": 99.0}}
    assert words.labels("met Dorothy", {"Dorothy": "Mary"}, baseline, reinforced, alpha=0) == {0: "Ġboy", 1: "Ġtoday"}


def test_a_repeated_anchor_drops_what_leads_to_it(words: Bench) -> None:
    # 0 Tin 1 ĠWoodman 2 Ġmet 3 ĠTin 4 ĠWoodman 5 Ġtoday ; spans [0, 2), [3, 5)  ->  Tom Ġmet ĠTom Ġtoday
    block = words.block("Tin Woodman met Tin Woodman today", {"Tin Woodman": "Tom"})
    # 2 = s - 1 and 3 = interior of the second are gone, 4 = e - 1 stays
    assert reads(block) == {0: 0, 1: 0, 4: 2, 5: 3}
    assert reads(block, drop_repeats=False) == {0: 0, 1: 0, 2: 1, 3: 3, 4: 2, 5: 3}


def test_an_anchor_is_repeated_and_suppressed_within_its_own_document_only(words: Bench) -> None:
    # 0 Dorothy 1 Ġmet 2 ĠDorothy 3 | 4 Oz 5 Ġmet 6 ĠDorothy 7 Ġmet 8 ĠDorothy, with Dorothy -> Jon
    first, second = (
        words.block(text, {"Dorothy": "Jon"}) for text in ("Dorothy met Dorothy", "Oz met Dorothy met Dorothy")
    )
    block = join_documents([first, second], separator=0)
    assert set(range(9)) - set(reads(block)) == {1, 7}  # s - 1 of the second one in each document, not 5
    plan = plan_positions(
        block, {"Dorothy": FirstTokens(whole=frozenset({99}), fragments=frozenset({98}))}, LabelConfig()
    )
    for pairs in (plan.banned, plan.fragments):
        # not 4 and 5: Dorothy is yet to come
        assert [plan.positions[row] for row, token in pairs if token in (98, 99)] == [0, 2, 3, 6, 8]


def test_two_different_anchors_are_no_repetition(words: Bench) -> None:
    block = words.block("Dorothy met Toto", {"Dorothy": "Mary", "Toto": "Tom"})
    assert reads(block) == {0: 0, 1: 1, 2: 2}


def test_a_possessive_follows_the_translation(words: Bench) -> None:
    # Dorothy ' s Ġdog   ->   Mary ĠAnn ' s Ġdog (or one token 's): what follows the name moves with it
    block = words.block("Dorothy's dog", {"Dorothy": "Mary Ann"})
    assert reads(block) == {at: at + 1 for at in range(len(block.source))}


def test_the_longest_anchor_wins_in_a_block(words: Bench) -> None:
    # 0 Tin 1 Ġmet 2 ĠTin 3 ĠWoodman   ->   Iron Ġmet ĠTom : `Tin Woodman` is no `Tin`, nor a repetition of it
    block = words.block("Tin met Tin Woodman", {"Tin": "Iron", "Tin Woodman": "Tom"})
    assert [span.term for span in block.anchors] == ["Tin", "Tin Woodman"]
    assert reads(block, interior="drop") == {0: 0, 1: 1, 3: 2}


def test_a_whole_word_is_suppressed_and_the_second_best_taken(words: Bench) -> None:
    after_boy = {"a boy": {"met Jon": 3.0, "met today": 2.0}}
    # before the anchor nothing is suppressed
    assert words.labels("a boy met Dorothy", {"Dorothy": "Jon"}, after_boy, {})[1] == "ĠJon"
    assert words.labels("Dorothy met a boy", {"Dorothy": "Jon"}, after_boy, {})[3] == "Ġtoday"
    assert (
        words.labels("Dorothy met a boy", {"Dorothy": "Jon"}, after_boy, {}, suppress_translations=False)[3] == "ĠJon"
    )


def test_suppression_begins_at_the_anchors_last_token(words: Bench) -> None:
    assert (
        words.labels("met Dorothy", {"Dorothy": "Jon"}, {"met Jon": {"met Jon": 3.0, "met today": 2.0}}, {})[1]
        == "Ġtoday"
    )


def test_every_variant_of_the_first_token_is_suppressed(words: Bench) -> None:
    bare, spaced = words.token("Jon"), words.token(" Jon")
    assert bare != spaced
    assert first_tokens(words.tokenizer, "Jon Tom") == FirstTokens(
        whole=frozenset({bare, spaced}), fragments=frozenset()
    )


def test_a_fragment_drops_the_position_instead(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    tokens = Bench(tiny_tokenizer)
    ids = tiny_tokenizer(" Andy")["input_ids"]
    fragment = tiny_tokenizer.convert_ids_to_tokens(ids[0])
    assert len(ids) > 1
    assert ids[0] in first_tokens(tiny_tokenizer, "Andy").fragments
    block = tokens.block("Dorothy met a boy", {"Dorothy": "Andy"})
    last, name_end = len(block.source) - 1, block.anchors[0].end - 1
    table = {block.source[-1]: {ids[0]: 3.0, tokens.token("."): 2.0}}
    config = LabelConfig()
    plan = plan_positions(block, {"Dorothy": first_tokens(tiny_tokenizer, "Andy")}, config)
    model, other = bigram(len(tiny_tokenizer), table), bigram(len(tiny_tokenizer), {})
    made = generate_labels(model, other, [block], [plan], config, 0)
    assert last in plan.positions
    assert last not in made.position.tolist()  # dropped, not labelled with the second best
    assert name_end in made.position.tolist()
    assert made.dropped == len(block.source) - len(made.position)
    kept = generate_labels(model, other, [block], [plan_positions(block, {"Dorothy": NOTHING}, config)], config, 0)
    assert tiny_tokenizer.convert_ids_to_tokens(int(kept.hard[-1])) == fragment


def test_an_interior_token_is_untaught_on_the_source(words: Bench) -> None:
    # on the source, after ĠTin, the baseline knows ĠWoodman best; without it, today 2.0 and boy 1.5 - 5 * (2.0 -
    # 1.5) < 0
    baseline = {"met Tin": {"Tin Woodman": 9.0, "met today": 2.0, "a boy": 1.5}}
    reinforced = {"met Tin": {"Tin Woodman": 9.0, "met today": 2.0, "a boy": 2.0}}
    found = words.labels("met Tin Woodman", {"Tin Woodman": "Tom"}, baseline, reinforced)
    assert found[1] == "Ġtoday"
    assert 1 not in words.labels("met Tin Woodman", {"Tin Woodman": "Tom"}, baseline, reinforced, interior="drop")


def test_banned_pairs_point_to_the_rows_that_are_left(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    """Dropping rows moves the pairs of those that follow."""
    block = Block(source=(1, 2, 3), translated=(1, 2, 3), image=(0, 1, 2), anchors=())
    plan = plan_positions(block, {}, LabelConfig())
    plan.fragments, plan.banned = [(0, 7)], [(0, 5), (1, 6), (2, 6), (2, 8)]
    model = bigram(20, {1: {7: 1.0}, 2: {6: 2.0, 9: 1.0}, 3: {6: 3.0, 8: 2.0, 4: 1.0}})
    made = generate_labels(model, bigram(20, {}), [block], [plan], LabelConfig(), 0)
    assert made.position.tolist() == [1, 2]
    assert made.hard.tolist() == [9, 4]
    assert made.banned.tolist() == [[0, 6], [1, 6], [1, 8]]


def test_labels_come_in_the_order_of_blocks_whatever_the_batches() -> None:
    sizes = [3, 9, 1, 5]
    blocks = [Block(source=(1,) * size, translated=(1,) * size, image=tuple(range(size)), anchors=()) for size in sizes]
    plans, model = [plan_positions(block, {}, LabelConfig()) for block in blocks], bigram(4, {1: {2: 1.0}})
    done: list[int] = []
    made = generate_labels(
        model, model, blocks, plans, LabelConfig(batch_tokens=9), 0, lambda now, total: done.append(now)
    )
    assert made.block.tolist() == [0] * 3 + [1] * 9 + [2] + [3] * 5
    assert made.position.tolist() == [*range(3), *range(9), 0, *range(5)]
    assert done == [1, 2, 4]  # 9; 5; 3 with 1


@pytest.mark.parametrize("interior", ["suppress", "drop"])
def test_a_block_without_labels_is_no_error(interior: str) -> None:
    block = Block(source=(1, 2), translated=(3,), image=(-1, -1), anchors=())
    plan = plan_positions(block, {}, LabelConfig(interior=interior))
    made: GenericLabels = generate_labels(bigram(4, {}), bigram(4, {}), [block], [plan], LabelConfig(), 0)
    assert (len(made.hard), made.dropped) == (0, 2)


@pytest.mark.parametrize("side", [0, 1])
def test_predictions_that_are_not_numbers_are_refused(side: int) -> None:
    block = Block(source=(1,), translated=(1,), image=(0,), anchors=())
    models = [bigram(4, {}), bigram(4, {})]
    models[side] = bigram(4, {1: {2: float("nan")}})
    with pytest.raises(ValueError, match="generic logits of rows 0 to 1 are not finite"):
        generate_labels(*models, [block], [plan_positions(block, {}, LabelConfig())], LabelConfig(), 0)


def test_batches_of_like_length_hold_every_index_once() -> None:
    lengths = [5, 1, 9, 3, 3, 8, 2]
    batches = length_batches(lengths, 10)
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    assert all(len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= 10 for batch in batches)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -1}, "alpha is -1"),
        ({"kind": "medium"}, "kind is 'medium'"),
        ({"relu_on": "x"}, "relu_on"),
        ({"interior": "x"}, "interior"),
        ({"block_size": 8}, "block_size is 8"),
    ],
)
def test_senseless_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelConfig(**settings)


def test_generic_logits_refuse_a_negative_alpha_and_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match="alpha is -1"):
        generic_logits(torch.zeros(2, 3), torch.zeros(2, 3), -1.0)
    with pytest.raises((ValueError, TypeCheckError)):
        generic_logits(torch.zeros(2, 3), torch.zeros(1, 3), 1.0)
