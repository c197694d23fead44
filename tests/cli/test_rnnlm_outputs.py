"""Output layers and losses as commands have them."""

import pytest

TRAIN = "train train.txt --valid valid.txt -o m --hidden 6 --max-iter 3 --batch-size 4 --bptt 5 --alpha 0.01 "


def epochs_of(out):
    return [line.split("train ")[1].split("bits")[0] for line in out.splitlines() if line.startswith("epoch")]


def test_the_first_epochs_are_said_to_be_estimated(folder, done):
    out = done(TRAIN + "--cell lstm --loss nce --samples 8 --full-epochs 1")
    assert [line.startswith("about ") for line in epochs_of(out)] == [True, True, False]
    assert "perplexity" in done("ppl -m m valid.txt")


def test_a_tree_is_trained_scored_described_and_not_converted(folder, done, refused):
    out = done(TRAIN + "--output-layer hierarchical")
    assert not any(line.startswith("about ") for line in epochs_of(out))
    assert "hierarchical softmax" in done("info m")
    assert "perplexity" in done("ppl -m m valid.txt")
    refused("convert m -o text --to 0.4b-text", 1, "another output layer than the toolkit's networks")


@pytest.mark.parametrize(
    "options", ["--engine minibatch --class 5", "--cell lstm --class 5 --compression 4 --direct 0.001"]
)
def test_classes_are_learnt_in_batches(folder, done, options):
    assert len(epochs_of(done(TRAIN + options))) == 3
    assert "perplexity" in done("ppl -m m valid.txt")
