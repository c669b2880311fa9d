"""Settings from words and files: dotted and short keys, the nearest name suggested, types checked; wrong
choices named.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import yaml

from flows.methods import AUTOMATIC, METHODS, method
from flows.steps.settings import apply_file, apply_settings, as_yaml, differences, setting_names
from tasks.artifacts import BadInputError
from tasks.settings.selective_unlearning import PRESETS, SelectiveUnlearningConfig, preset

DEFAULT = SelectiveUnlearningConfig()


def message_of(*settings: str) -> str:
    with pytest.raises(BadInputError) as caught:
        apply_settings(DEFAULT, list(settings))
    return str(caught.value)


def test_a_dotted_key_changes_its_setting_and_no_other() -> None:
    changed = apply_settings(DEFAULT, ["labels.alpha=3"])
    assert changed.labels.alpha == 3.0
    assert dataclasses.replace(changed, labels=DEFAULT.labels) == DEFAULT


def test_the_last_part_of_a_key_is_enough_where_it_is_unique() -> None:
    assert apply_settings(DEFAULT, ["alpha=3"]) == apply_settings(DEFAULT, ["labels.alpha=3"])


def test_of_two_settings_of_one_key_the_last_holds() -> None:
    assert apply_settings(DEFAULT, ["alpha=3", "labels.alpha=4"]).labels.alpha == 4.0


def test_two_settings_that_only_fit_beside_each_other_are_changed_in_any_order(tmp_path: Path) -> None:
    config, words = METHODS["scrub"].preset("paper", 0), ["scrub.alpha=0.75", "scrub.beta=0.25"]
    changed = apply_settings(config, words)
    assert (changed.scrub.alpha, changed.scrub.beta) == (0.75, 0.25)
    assert apply_settings(config, words[::-1]) == changed
    (tmp_path / "pair.yaml").write_text("scrub: {beta: 0.25, alpha: 0.75}")
    assert apply_file(config, str(tmp_path / "pair.yaml")) == changed
    with pytest.raises(BadInputError, match=r"scrub.alpha \+ scrub.beta is 0.75 \+ 0.5"):
        apply_settings(config, words[:1])


def test_differences_are_the_settings_that_make_one_config_of_another(tmp_path: Path) -> None:
    default = method("npo").preset("default", 0)
    changed = apply_settings(
        default, ["objective.b=0.5", "lora.rank=4", "lora.targets=[q_proj]", "training.guard=watch"]
    )
    found = differences(changed, default)
    assert found == {"objective.b": 0.5, "lora.rank": 4, "lora.targets": ["q_proj"], "training.guard": "watch"}
    file = tmp_path / "best.yaml"
    file.write_text(yaml.safe_dump(found), encoding="utf-8")
    assert apply_file(default, str(file)) == changed
    assert differences(default, default) == {}


@pytest.mark.parametrize("name", METHODS | AUTOMATIC)
def test_a_file_of_all_settings_makes_the_same_ones_of_every_preset(name: str, tmp_path: Path) -> None:
    method, file = (METHODS | AUTOMATIC)[name], tmp_path / "config.yaml"
    for named in method.presets:
        config = method.preset(named, 5)
        file.write_text(as_yaml(config))
        assert apply_file(method.preset("default", 0), str(file)) == config


def test_an_ambiguous_key_lists_what_it_could_mean() -> None:
    found = message_of("epochs=1")
    assert found.startswith("--set epochs: several settings end so; wanted one of ")
    assert "reinforcement.epochs" in found
    assert "finetune.epochs" in found


@pytest.mark.parametrize(
    ("setting", "suggested"),
    [
        ("labels.alfa=3", "labels.alpha"),
        ("label.alpha=3", "labels.alpha"),
        ("alhpa=3", "labels.alpha"),
        ("finetune.learn_rate=1", "finetune.learning_rate"),
        ("probing.promts=3", "probing.prompts"),
    ],
)
def test_an_unknown_key_suggests_the_nearest(setting: str, suggested: str) -> None:
    assert message_of(setting) == f"--set {setting.partition('=')[0]}: no such setting; did you mean {suggested}?"


def test_a_key_like_no_other_lists_all() -> None:
    assert "wanted one of corpus.test_share, " in message_of("zzz=1")


def test_a_setting_without_a_value_is_refused() -> None:
    assert message_of("labels.alpha") == "--set labels.alpha: no `=`; wanted key=value, such as labels.alpha=5"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("labels.alpha=much", "alpha=much: wanted float"),
        ("finetune.epochs=1.5", "epochs=1.5: wanted int"),
        ("labels.drop_repeats=perhaps", "drop_repeats=perhaps: wanted bool"),
        ("labels.alpha=-1", "labels.alpha is -1.0; wanted a number >= 0"),
        ("labels.alpha=.nan", "labels.alpha is nan; wanted a number >= 0"),
        ("finetune.retain_weight=.inf", "finetune.retain_weight is inf; wanted a number >= 0"),
        ("finetune.utility_floor=.nan", "finetune.utility_floor is nan; wanted a number > 0"),
        ("labels.kind=firm", "labels.kind is 'firm'; wanted one of soft, hard"),
        ("finetune.epochs=0", "epochs is 0; wanted a whole number >= 1"),
        ("verdict.required=[forgotten, pretty]", "verdict.required names pretty; wanted some of forgotten"),
    ],
)
def test_a_value_that_does_not_fit_is_named(setting: str, message: str) -> None:
    assert message in message_of(setting)


def test_values_are_read_as_yaml() -> None:
    changed = apply_settings(
        DEFAULT,
        [
            "drop_repeats=false",
            "finetune.learning_rate=3e-4",
            "required=[forgotten]",
            "qa_template=Q {question} A={answer}",
        ],
    )
    assert changed.labels.drop_repeats is False
    assert changed.finetune.learning_rate == 3e-4
    assert changed.verdict.required == ("forgotten",)
    assert changed.corpus.qa_template == "Q {question} A={answer}"


def test_off_and_no_are_words_and_true_and_false_are_not(tmp_path: Path) -> None:
    given = ["corpus.chat=off", "finetune.mixed_precision=no", "drop_repeats=False", "join_lines=off"]
    (tmp_path / "settings.yaml").write_text(
        "corpus: {chat: off, join_lines: off}\nfinetune.mixed_precision: no\nlabels.drop_repeats: False\n"
    )
    for changed in (apply_settings(DEFAULT, given), apply_file(DEFAULT, str(tmp_path / "settings.yaml"))):
        assert (changed.corpus.chat, changed.finetune.mixed_precision) == ("off", "no")
        # a field of truth values takes both
        assert (changed.labels.drop_repeats, changed.corpus.join_lines) == (False, False)


def test_an_optional_setting_can_be_taken_back() -> None:
    changed = apply_settings(DEFAULT, ["finetune.learning_rate=1e-3"])
    assert apply_settings(changed, ["finetune.learning_rate=null"]) == DEFAULT
    assert apply_settings(changed, ["finetune.learning_rate=none"]) == DEFAULT
    # a word where it is one
    assert apply_settings(DEFAULT, ["translation.fallback=none"]).translation.fallback == "none"


def write(folder: Path, text: str) -> str:
    (folder / "settings.yaml").write_text(text)
    return str(folder / "settings.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "labels:\n  alpha: 3\nfinetune: {epochs: 2}\n",
        "labels.alpha: 3\nfinetune.epochs: 2\n",
        "alpha: 3\nfinetune.epochs: 2\n",
    ],
)
def test_a_file_is_nested_or_dotted_or_short(tmp_path: Path, text: str) -> None:
    assert apply_file(DEFAULT, write(tmp_path, text)) == apply_settings(
        DEFAULT, ["labels.alpha=3", "finetune.epochs=2"]
    )


def test_a_setting_given_in_words_wins_over_the_file(tmp_path: Path) -> None:
    assert apply_settings(apply_file(DEFAULT, write(tmp_path, "alpha: 3")), ["alpha=4"]).labels.alpha == 4.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels: [1, 2", "does not parse"),
        ("- labels", "holds a list; wanted a mapping of settings"),
        ("labels:\n  alfa: 3\n", "did you mean labels.alpha?"),
        ("labels:\n  alpha: much\n", "alpha=much: wanted float"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        apply_file(DEFAULT, write(tmp_path, text))
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"--config /nowhere\.yaml does not exist; wanted a YAML file"):
        apply_file(DEFAULT, "/nowhere.yaml")


def test_presets_carry_the_seed_and_unknown_ones_list_the_known() -> None:
    assert preset("default") == DEFAULT
    assert {
        preset("default", 7).reinforcement.seed,
        preset("default", 7).finetune.seed,
        preset("default", 7).translation.seed,
    } == {7}
    assert preset("paper").labels.kind == "hard"
    with pytest.raises(ValueError, match="preset is 'mine'; wanted one of default, paper"):
        preset("mine")
    with pytest.raises(ValueError, match=f"--method magic: unknown; wanted one of {', '.join(sorted(METHODS))}"):
        method("magic")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("method_name", METHODS)
def test_every_setting_of_every_preset_can_be_written_back(method_name: str, name: str) -> None:
    config = METHODS[method_name].preset(name, 0)
    for key in setting_names(config):
        assert apply_settings(config, [f"{key}={json.dumps(_value(config, key))}"]) == config, key


def _value(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = getattr(config, name)
    return config


@pytest.mark.parametrize("method_name", METHODS)
def test_a_word_that_is_no_choice_is_named_with_its_setting_and_the_choices(method_name: str) -> None:
    config = METHODS[method_name].preset("default", 0)
    chosen = {key: choices for key in setting_names(config) if (choices := _choices(config, key))}
    assert len(chosen) >= 10
    for key, choices in chosen.items():
        with pytest.raises(BadInputError, match="no-such-word") as caught:
            apply_settings(config, [f"{key}=no-such-word"])
        assert str(caught.value).endswith(
            f"{key.rpartition('.')[2]} is 'no-such-word'; wanted one of {', '.join(choices)}"
        ), key
        # the objective's settings go with it; and who chooses its matrices takes no others
        if key == "method" or (key == "localisation.by" and config.chooses_weights):
            continue
        assert [_value(apply_settings(config, [f"{key}={word}"]), key) for word in choices] == list(choices), key


def _choices(config: Any, key: str) -> tuple[str, ...]:
    section, _, name = key.rpartition(".")
    hint = get_type_hints(type(_value(config, section) if section else config))[name]
    return get_args(hint) if get_origin(hint) is Literal else ()


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "labels: &me\n  alpha: *me\n",
        "labels: " + "[" * 50_000,
        "[" * 50_000,
        "a: " + "{b: " * 5000,
        "seed: !!int x",
        "\x00",
    ],
)
def test_hostile_yaml_is_refused_at_once(tmp_path: Path, text: str) -> None:
    started = time.monotonic()
    with pytest.raises(BadInputError, match=r"--config .* does not parse"):
        apply_file(SelectiveUnlearningConfig(), write(tmp_path, text))
    assert time.monotonic() - started < 5


def test_a_word_of_many_brackets_is_not_read_for_long() -> None:
    started = time.process_time()
    with pytest.raises(BadInputError, match=r"batch=\[{200}: wanted int"):
        apply_settings(SelectiveUnlearningConfig(), ["facts.batch=" + "[" * 20_000])
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("finetune.seed=99999999999999999999", "seed is 1e\\+20; wanted a whole number up to 4294967295"),
        ("finetune.epochs=100000000000000000000", "epochs is 1e\\+20; wanted a whole number up to"),
        ("probing.prompts=1000000000000", "prompts is 1e\\+12; wanted a whole number up to"),
    ],
)
def test_numbers_out_of_any_range_are_refused(setting: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        apply_settings(SelectiveUnlearningConfig(), [setting])
