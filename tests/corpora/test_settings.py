"""A setting is declared once: its range, its messages, its options and its spellings follow."""

import math
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from corpora.command.c_options import single_dashes
from corpora.command.options import Number
from corpora.command.settings import setting_option, settings_options, values_of
from corpora.command.spelling import spelling
from corpora.errors import CorpusError
from corpora.settings import check, require_same, setting, settings_of, spelled
from rnnlm.cli import rnnlm
from rnnlm.config import ModelConfig, TrainConfig
from rnnlm.defaults import DEPENDENT
from rnnlm.legacy.options import BY_NAME
from rnnlm.ngram.config import NgramConfig, Options
from w2v.cli import w2v
from w2v.config import PhraseConfig
from w2v.config import TrainConfig as VectorConfig


@dataclass(frozen=True)
class Oven:
    degrees: int = setting(180, "How hot; `top_heat` is beside it, and `minutes`.", low=0, high=300, metavar="C")
    minutes: float = setting(12.5, "How long.", low=0, above=True, option="--time")
    layers: int = setting(1, "Baking trays.", low=1)
    top_heat: bool = setting(False, "From above too.")
    kind: str = setting("gas", "Of the oven.", choices=("gas", "electric"))
    grams: int = setting(0, "Of dough, in kilograms; 0: none.", low=0, allowed="0 (none) or a weight", unit=1000)
    salt: float | None = setting(None, low=0, form="g", old="-nacl")
    steam: float = setting(0.0, "Share of the air.", low=0, high=1, below=True)
    label: str = "mine"

    def __post_init__(self):
        check(self)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"degrees": 301}, "`degrees` 301: 0 to 300"),
        ({"minutes": 0.0}, "`minutes` 0.0: above 0"),
        ({"minutes": math.nan}, "`minutes`: not a finite number"),
        ({"layers": 0}, "`layers` 0: at least 1"),
        ({"kind": "wood"}, "`kind` wood: one of gas, electric"),
        ({"grams": -1}, "`grams` -1: 0 (none) or a weight"),
        ({"salt": -2.0}, "`salt` -2: 0 or above"),
        ({"steam": 1.0}, "`steam` 1.0: 0 or above, below 1"),
        ({"degrees": -1, "salt": math.inf}, "`salt`: not a finite number"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(values, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        Oven(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize("values", [{"degrees": 0}, {"degrees": 300}, {"minutes": 1e-9}, {"salt": 0}, {"grams": 0}])
def test_the_bounds_themselves_are_in_the_range(values):
    assert Oven(**values) != Oven(label="other")


def test_a_field_that_is_no_setting_is_left_alone():
    assert list(settings_of(Oven)) == ["degrees", "minutes", "layers", "top_heat", "kind", "grams", "salt", "steam"]


def oven_command():
    @click.command()
    @settings_options(Oven, "degrees", "minutes", "top_heat", "kind", "grams", "steam")
    @setting_option(Oven, "layers", type=click.IntRange(2, 5), default=2)
    def oven(**values):
        click.echo(sorted(values.items()))

    return oven


def test_the_help_of_the_options():
    shown = " ".join(CliRunner().invoke(oven_command(), ["--help"]).output.split())
    assert "--degrees C How hot; --top-heat is beside it, and --time. [default: 180; 0<=x<=300] --time " in shown
    assert " How long. [default: 12.5; x>0] --top-heat From above too. --kind [gas|electric] Of the oven." in shown
    assert " Of dough, in kilograms; 0: none. [x>=0] --steam FLOAT RANGE Share of the air. [0<=x<1] --layers " in shown
    assert " Baking trays. [default: 2; 2<=x<=5] --help" in shown


def test_the_help_of_a_number_that_may_be_any_names_no_range():
    command = click.Command("c", params=[click.Option(["--balance"], type=Number(), default=1.0, show_default=True)])
    assert "  [default: 1.0]\n" in CliRunner().invoke(command, ["--help"]).output


def test_the_values_of_the_options_have_the_names_of_the_settings():
    shown = CliRunner().invoke(oven_command(), "--time=3 --kind=electric --top-heat --grams=1.5").output
    assert shown == (
        "[('degrees', 180), ('grams', 1.5), ('kind', 'electric'), ('layers', 2), ('minutes', 3.0), "
        "('steam', 0.0), ('top_heat', True)]\n"
    )
    assert values_of(Oven, {"degrees": 20, "label": "x", "output": "y"}) == {"degrees": 20}


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("`minutes` 0: above 0", "<minutes> 0: above 0"),
        ("lower `minutes` (3) or `top_heat`", "lower <minutes> (3) or <top_heat>"),
        ('t.md:3: expected a number, found "`minutes`"', 't.md:3: expected a number, found "`minutes`"'),
        ("`two words` and ` ` and ``", "`two words` and ` ` and ``"),
    ],
)
def test_settings_in_messages_are_spelled_and_what_files_hold_is_not(message, found):
    assert spelled(message, lambda name: f"<{name}>") == found


def test_a_command_spells_a_setting_as_its_own_option_else_as_that_of_another_command():
    assert spelling(w2v, ["train", "x"])("iterations") == "--iter"
    assert spelling(w2v, ["cluster", "x"])("iterations") == "--iterations"
    assert spelling(w2v, ["info"])("architecture") == "--cbow or --skipgram"
    assert spelling(rnnlm, ["info"])("classes") == "--class"
    assert spelling(rnnlm, ["rescore"])("weights") == "--model-weight"
    assert spelling(rnnlm, ["ngram", "count"])("force") == "--force"
    assert spelling(rnnlm, [])("no_such_setting") == "--no-such-setting"


def test_an_old_command_line_spells_it_with_a_single_dash():
    for name, option in (("classes", "-class"), ("seed", "-rand-seed"), ("max_epochs", "-max-iter"), ("tmp", "-tmp")):
        with pytest.raises(CorpusError, match=f"^m: lower {option} "), single_dashes(BY_NAME):
            raise ValueError(f"m: lower `{name}` please")
    with pytest.raises(ValueError, match=r"^no setting is in this$"), single_dashes(BY_NAME):
        raise ValueError("no setting is in this")


def test_a_checkpoint_of_another_setting_is_refused_with_both_values():
    require_same("c", Oven, {"degrees": 1, "tokenizer": "word"}, {"degrees": 1, "tokenizer": "word", "more": 2})
    for ours, theirs, reason in (
        ({"degrees": 200}, {"degrees": 180}, "another `degrees` (180, now 200): give the same options to go on"),
        ({"grams": 500}, {"grams": 0}, "another `grams` (0, now 0.5): "),
        ({"tokenizer": "word"}, {}, "another `tokenizer` (None, now word): "),
    ):
        with pytest.raises(CorpusError) as caught:
            require_same("c", Oven, ours, theirs)
        assert str(caught.value).startswith(f"c: of a run with {reason}")


CONFIGURATIONS = [(rnnlm.commands["train"], ModelConfig), (rnnlm.commands["train"], TrainConfig)]
CONFIGURATIONS += [(w2v.commands["train"], VectorConfig), (w2v.commands["phrases"], PhraseConfig)]
CONFIGURATIONS += [(rnnlm.commands["ngram"], NgramConfig), (rnnlm.commands["ngram"], Options)]
OF_OTHERS = {*DEPENDENT, "passes"}  # whose default depends on other options


@pytest.mark.parametrize(("command", "config"), CONFIGURATIONS)
def test_every_setting_with_a_help_is_an_option_of_its_command(command, config):
    options = {parameter.name: parameter for parameter in command.params}
    for name, declared in settings_of(config).items():
        if declared.help:
            assert options[name].opts == [declared.option]
            if name not in OF_OTHERS and declared.kind is not bool:
                assert options[name].default == declared.default
