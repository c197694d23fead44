"""The twins of tests/reference/networks.py against other programs' numbers, finite differences and their definitions.

The golden numbers were computed in float64 by a plain loop and, to within 1e-7, by the programs that each test names:
torch 2.14.1, keras 3.15.1, jax 0.10.2 with flax 0.12.8, equinox 0.13.8, onnxruntime 1.32.0.  They have 7 digits.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.reference.networks import LSTM, NO_DROPOUT, Config, Masks, Network, numbered

# ---- golden numbers: 2 inputs, 2 units, 3 steps of one stream


def w(s, *shape):
    """The weights of the examples, in row order."""
    return (((7 * np.arange(math.prod(shape)) + s) % 19 - 9) / 10).reshape(shape)


X = np.array([[0.5, -1], [1, 0.25], [-0.75, 0.5]])
READ_X = np.array([[0], [1], [2]])  # X as an embedding: word t is the input of step t


def layer(U, W, **others):
    """Weights of torch's layout, from columns to rows, in that of the twins."""
    return {"U": U.T, "W": W.T, **others}


def network(cell, params, *, layers=1, **settings):
    """A network that reads X; its output does not matter unless ``params`` have one."""
    config = Config(3, 2, cell, layers, embedding=2, output_bias="o" in params, **settings)
    return Network(config, {"E": X, "O": w(1, 3, 2)} | params)


def run(net, states=None):
    """Hidden states of the last layer (T, H), and the states after."""
    _, hidden, after = net.forward(READ_X, READ_X, states)
    return hidden[-1, :, 0], after


def gradients_of_all_hidden(net):
    """The gradients of the sum of all hidden states of the last layer; E's are those of X."""
    steps, _ = net.run(READ_X)
    dhidden = np.zeros((net.config.layers, 3, 1, 2))
    dhidden[-1] = 1.0
    return net.back(steps, np.zeros((3, 1, 3)), dhidden)[0]


def near(values, expected):
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


LSTM_LAYER = layer(w(0, 8, 2), w(4, 8, 2), b=w(9, 8))
GRU_INPUT, GRU_RECURRENT = w(9, 6), w(12, 6)


def gru_after():
    """r and z have the sum of both biases, n has its own two."""
    b = GRU_INPUT + GRU_RECURRENT
    b[4:] = GRU_INPUT[4:]
    return network("gru", layer(w(0, 6, 2), w(4, 6, 2), b=b, c=GRU_RECURRENT[4:]), reset="after")


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("tanh", [[-0.5716700, 0.8482836], [-0.7269222, -0.1699833], [0.5328773, -0.7345528]]),
        ("logistic", [[0.3429895, 0.7772999], [0.1857201, 0.6430144], [0.5319239, 0.3696707]]),
    ],
)
def test_elman_is_that_of_torch_and_onnxruntime(activation, expected):
    net = network("elman", layer(w(0, 2, 2), w(3, 2, 2), b=w(5, 2)), activation=activation)
    near(run(net)[0], expected)


def test_jordan_is_that_written_out_in_torch_and_jax():
    params = layer(w(0, 2, 2), w(6, 2, 3), b=w(5, 2)) | {"O": w(8, 3, 2), "o": w(1, 3)}
    net = network("jordan", params)
    hidden, (after,) = run(net)
    near(hidden, [[-0.5716700, 0.8482836], [-0.8982556, 0.6118584], [0.1382292, -0.2551186]])
    y = [[0.2637441, 0.4625120, 0.2737438], [0.2323580, 0.5399507, 0.2276913], [0.1103510, 0.2355942, 0.6540548]]
    near(probabilities(net, READ_X)[:, 0], y)
    near(after, [[y[-1]]])


def test_lstm_is_that_of_torch_keras_flax_and_onnxruntime():
    hidden, (after,) = run(network("lstm", LSTM_LAYER))
    near(hidden, [[0.1688451, 0.1082386], [0.2357239, 0.0447534], [0.1098360, -0.0917985]])
    near(after, [[hidden[-1]], [[0.1602794, -0.2224174]]])


def test_gradients_of_the_lstm_are_those_of_torch_and_jax():
    grads = gradients_of_all_hidden(network("lstm", LSTM_LAYER))
    near(grads["E"], [[-0.0804892, -0.1397701], [-0.0173656, -0.1904856], [0.4116578, -0.0999826]])
    db = [0.3002579, -0.0397546, 0.1434539, 0.0753676, 0.4864299, 0.6372568, 0.2292218, 0.0469519]
    near(grads["b"], db)
    near(grads["W"].sum(), 0.3511990)


def test_peepholes_are_those_of_onnxruntime():
    i, o, f = [-0.7, 0.0], [0.7, -0.5], [0.2, 0.9]
    hidden, (after,) = run(network("lstm", LSTM_LAYER | {"p": np.array([i, f, o])}, peephole=True))
    near(hidden, [[0.1961657, 0.0885938], [0.2387965, 0.0523071], [0.1065895, -0.0667182]])
    near(after[1], [[0.1508367, -0.1531478]])


def test_gru_that_resets_after_is_that_of_torch_keras_equinox_and_onnxruntime():
    near(run(gru_after())[0], [[0.6894402, 0.2646064], [0.8121834, 0.2344278], [0.0455562, 0.0372775]])


def test_gradients_of_the_gru_are_those_of_torch_and_jax():
    grads = gradients_of_all_hidden(gru_after())
    near(grads["E"], [[0.7647173, -0.7475149], [0.4850945, -0.6421034], [0.4104015, 0.0603071]])
    near(grads["b"][4:], [0.9749222, 1.2613528])
    near(grads["c"], [0.4959984, 0.8124738])


def test_gru_that_resets_before_is_that_of_keras_and_onnxruntime():
    net = network("gru", layer(w(0, 6, 2), w(4, 6, 2), b=GRU_INPUT + GRU_RECURRENT), reset="before")
    near(run(net)[0], [[0.5934420, 0.2646064], [0.6812668, 0.1427787], [-0.0787594, -0.0276083]])


def test_stacked_lstms_are_those_of_torch_and_keras():
    above = {"U2": w(11, 8, 2).T, "W2": w(15, 8, 2).T, "b2": w(17, 8)}
    net = network("lstm", LSTM_LAYER | above, layers=2)
    hidden, after = run(net)
    near(hidden, [[-0.0202957, 0.0862331], [-0.0521358, 0.1177284], [-0.1050896, 0.1324020]])
    near(after[0], [[[0.1098360, -0.0917985]], [[0.1602794, -0.2224174]]])
    near(after[1][0], hidden[-1:])


def test_a_tied_output_is_that_of_torch_and_jax():
    E = w(13, 3, 2)
    net = Network(Config(3, 2, "lstm", embedding=2, tied=True, output_bias=False), LSTM_LAYER | {"E": E})
    to_x = Masks(input=(X / E)[:, None])  # the example's x are not rows of its E, so a mask makes them of these
    expected = [
        [-1.0987709, -1.0316594, -1.1702012],
        [-1.0183985, -1.0736057, -1.2138443],
        [-0.9773245, -1.1607604, -1.1697791],
    ]
    near(np.log(probabilities(net, READ_X, masks=to_x)[:, 0]), expected)


def probabilities(net, inputs, **others):
    """Distributions (T, B, V), read off the log probability of every word as the target."""
    targets = [np.full(np.shape(inputs), word) for word in range(net.config.words)]
    return np.exp(np.stack([net.forward(inputs, target, **others)[0] for target in targets], axis=-1))


# ---- every cell

CELLS = {
    "elman-tanh": {"cell": "elman", "activation": "tanh"},
    "elman-logistic": {"cell": "elman", "activation": "logistic"},
    "elman-relu": {"cell": "elman", "activation": "relu"},
    "elman-elu": {"cell": "elman", "activation": "elu"},
    "jordan": {"cell": "jordan"},
    "lstm": {"cell": "lstm"},
    "lstm-peephole": {"cell": "lstm", "peephole": True},
    "lstm-no-forget": {"cell": "lstm", "forget_gate": False},
    "lstm-no-forget-peephole": {"cell": "lstm", "forget_gate": False, "peephole": True},
    "gru-after": {"cell": "gru", "reset": "after"},
    "gru-before": {"cell": "gru", "reset": "before"},
}
T, B, V, H = 5, 2, 4, 2
# word 0 is read within the block and at its beginning; there are steps without input, and targets that do not count
INPUTS = np.array([[1, 0], [3, -1], [0, 2], [-1, 0], [2, 3]])
TARGETS = np.array([[3, 2], [0, 2], [-1, 0], [2, 3], [1, -1]])

every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
every_stack = pytest.mark.parametrize(
    ("cell", "layers"),
    [
        pytest.param(cell, n, id=f"{name}-{n}")
        for name, cell in CELLS.items()
        for n in (1, 2)
        if (name, n) != ("jordan", 2)
    ],
)


def drawn(cell, *, seed=3, **settings):
    """A network with parameters by chance, by a seed with which no layer of relu is dead."""
    config = Config(V, H, **cell, **settings)
    return Network(config, config.draw(np.random.default_rng(seed)))


def some_states(net, seed=2):
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.5, state.shape) for state in net.initial_states(B)]


def masks_by_chance(net, *, locked, seed=3):
    """Masks of 0 and 1/keep, for each step or for all."""
    keep, rng = 0.7, np.random.default_rng(seed)
    steps = () if locked else (T,)

    def mask(width):
        return (rng.random((*steps, B, width)) < keep) / keep

    return Masks(mask(net.config.embedding or V), tuple(mask(H) for _ in range(net.config.layers - 1)), mask(H))


def finite_differences(function, array, eps=1e-5):
    """The gradient of a function of no arguments in an array, which it reads."""
    found = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        value, ends = array[at], []
        for moved in (value + eps, value - eps):
            array[at] = moved
            ends.append(function())
        array[at] = value
        found[at] = (ends[0] - ends[1]) / (2 * eps)
    return found


def require_gradients(net, states, masks=NO_DROPOUT):
    grads = net.gradients(INPUTS, TARGETS, states, masks)
    assert grads.keys() == net.config.shapes().keys()
    for name, array in net.p.items():
        found = finite_differences(lambda: net.loss(INPUTS, TARGETS, states, masks), array)
        np.testing.assert_allclose(grads[name], found, rtol=1e-6, atol=1e-8, err_msg=name)
        assert abs(found).max() > 1e-3, f"{name}: nothing to compare"


# ---- gradients


@every_stack
def test_gradients_are_finite_differences_of_one_hot_networks(cell, layers):
    net = drawn(cell, layers=layers)
    require_gradients(net, some_states(net))


@every_stack
def test_gradients_stop_at_independent_sentences(cell, layers):
    net = drawn(cell, layers=layers, embedding=3, independent=True, reset_value=0.3, bias=False)
    require_gradients(net, some_states(net), masks_by_chance(net, locked=False))


@every_stack
def test_gradients_are_finite_differences_of_tied_networks(cell, layers):
    net = drawn(cell, layers=layers, embedding=H, tied=True, output_bias=False)
    require_gradients(net, some_states(net), masks_by_chance(net, locked=True))


def test_gradients_are_finite_differences_of_three_layers():
    net = drawn({"cell": "gru"}, layers=3, independent=True)
    assert {"U3", "W3", "b3", "c3"} <= net.p.keys()
    require_gradients(net, None, masks_by_chance(net, locked=False))


@every_cell
@pytest.mark.parametrize("independent", [False, True])
def test_the_error_of_the_state_before_is_a_finite_difference(cell, independent):
    net = drawn(cell, independent=independent)
    states = some_states(net)
    steps, _ = net.run(INPUTS, states)
    log_y = np.array([step.log_y for step in steps])
    dscores = (np.exp(log_y) - np.eye(V)[TARGETS]) * (TARGETS >= 0)[:, :, None]
    _, (dstate,) = net.back(steps, dscores)
    found = finite_differences(lambda: net.loss(INPUTS, TARGETS, states), states[0])
    np.testing.assert_allclose(dstate, found, rtol=1e-6, atol=1e-8)
    # the second stream begins with a sentence
    assert (dstate[:, 1] == 0).all() == independent


# ---- what goes in and what comes out


@every_cell
def test_the_probabilities_of_all_words_sum_to_one(cell):
    net = drawn(cell, embedding=3)
    np.testing.assert_allclose(probabilities(net, INPUTS).sum(-1), 1.0, rtol=1e-14)


@every_stack
def test_two_blocks_are_one(cell, layers):
    net = drawn(cell, layers=layers, embedding=3, independent=True, reset_value=0.5)
    states = some_states(net)
    whole = net.forward(INPUTS, TARGETS, states)
    first = net.forward(INPUTS[:2], TARGETS[:2], states)
    second = net.forward(INPUTS[2:], TARGETS[2:], first[2])
    np.testing.assert_array_equal(whole[0], np.concatenate([first[0], second[0]]))
    np.testing.assert_array_equal(whole[1], np.concatenate([first[1], second[1]], axis=1))
    np.testing.assert_array_equal(whole[2], second[2])


@every_stack
def test_streams_do_not_see_each_other(cell, layers):
    net = drawn(cell, layers=layers, embedding=3)
    states = some_states(net)
    log_prob, hidden, after = net.forward(INPUTS, TARGETS, states)
    for b in range(B):
        alone = net.forward(INPUTS[:, [b]], TARGETS[:, [b]], [state[:, [b]] for state in states])
        np.testing.assert_allclose(log_prob[:, [b]], alone[0], rtol=1e-13)
        np.testing.assert_allclose(hidden[:, :, [b]], alone[1], rtol=1e-13)
        np.testing.assert_allclose([state[:, [b]] for state in after], alone[2], rtol=1e-13)


@every_cell
def test_an_independent_sentence_is_scored_as_a_text_of_its_own(cell):
    net = drawn(cell, independent=True, reset_value=0.7)
    text, targets = np.array([[2, 1, 0, 3, 0, 1, 2]]).T, np.array([[1, 0, 3, 0, 1, 2, 0]]).T
    log_prob, _, _ = net.forward(text, targets)
    for begin, end in [(0, 2), (2, 4), (4, 7)]:
        alone, _, _ = net.forward(text[begin:end], targets[begin:end])
        np.testing.assert_array_equal(log_prob[begin:end], alone)
    continued = Network(replace(net.config, independent=False), net.p)
    assert abs(continued.forward(text, targets)[0] - log_prob)[2:].max() > 1e-3


@every_stack
def test_reading_a_sentence_end_fills_every_state_with_the_reset_value(cell, layers):
    net = drawn(cell, layers=layers, independent=True, reset_value=0.7)
    text, targets = np.array([[0, 0], [2, 3]]), np.array([[1, 2], [3, 1]])
    continued = Network(replace(net.config, independent=False), net.p)
    filled = [np.full(state.shape, 0.7) for state in some_states(net)]
    mine, theirs = net.forward(text, targets, some_states(net)), continued.forward(text, targets, filled)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@every_cell
def test_no_input_is_a_word_whose_row_is_zero(cell):
    net = drawn(cell)
    net.p["U"][3] = 0.0
    without = np.where(INPUTS == 3, -1, INPUTS)
    assert (without != INPUTS).any()
    for mine, theirs in zip(net.forward(without, TARGETS), net.forward(INPUTS, TARGETS), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@every_cell
def test_a_target_that_does_not_count_costs_and_teaches_nothing(cell):
    net = drawn(cell)
    log_prob, _, _ = net.forward(INPUTS, TARGETS)
    np.testing.assert_array_equal(log_prob == 0, TARGETS == -1)
    assert net.loss(INPUTS, TARGETS) == -log_prob.sum()
    nothing = np.full_like(TARGETS, -1)
    assert net.loss(INPUTS, nothing) == 0
    assert all((gradient == 0).all() for gradient in net.gradients(INPUTS, nothing).values())


@every_cell
def test_an_embedding_is_a_factor_of_the_input_matrix(cell):
    embedded = drawn(cell, embedding=3)
    params = dict(embedded.p)
    params["U"] = params.pop("E") @ params["U"]
    one_hot = Network(replace(embedded.config, embedding=0), params)
    for mine, theirs in zip(embedded.forward(INPUTS, TARGETS), one_hot.forward(INPUTS, TARGETS), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@every_cell
def test_tied_is_an_output_that_equals_the_embedding(cell):
    tied = drawn(cell, embedding=H, tied=True)
    untied = Network(replace(tied.config, tied=False), tied.p | {"O": tied.p["E"]})
    np.testing.assert_array_equal(tied.forward(INPUTS, TARGETS)[0], untied.forward(INPUTS, TARGETS)[0])
    mine, theirs = tied.gradients(INPUTS, TARGETS), untied.gradients(INPUTS, TARGETS)
    np.testing.assert_allclose(mine["E"], theirs["E"] + theirs["O"], rtol=1e-12)


@every_cell
def test_without_biases_they_are_zero(cell):
    bare = drawn(cell, bias=False, output_bias=False)
    config = replace(bare.config, bias=True, output_bias=True)
    zeros = {name: np.zeros(shape) for name, shape in config.shapes().items() if name not in bare.p}
    assert zeros.keys() >= {"b", "o"}
    mine, theirs = bare.forward(INPUTS, TARGETS), Network(config, bare.p | zeros).forward(INPUTS, TARGETS)
    np.testing.assert_array_equal(mine[0], theirs[0])


@every_stack
def test_locked_masks_are_factors_of_the_rows_and_columns_that_read(cell, layers):
    net = drawn(cell, layers=layers, embedding=3)
    factors = [np.array(row) for row in ([0.0, 2.0, 0.5], [1.5, 0.0], [0.25, 3.0])]
    locked = [np.tile(row, (B, 1)) for row in factors]
    masks = Masks(locked[0], tuple(locked[1:layers]), locked[2])
    scaled = dict(net.p)
    for k in range(layers):
        name = numbered("U", k)
        scaled[name] = factors[k][:, None] * net.p[name]
    scaled["O"] = net.p["O"] * factors[2]
    mine = net.forward(INPUTS, TARGETS, masks=masks)
    theirs = Network(net.config, scaled).forward(INPUTS, TARGETS)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_a_locked_mask_is_the_same_at_every_step():
    net = drawn({"cell": "lstm"}, layers=2, embedding=3)
    locked = masks_by_chance(net, locked=True)
    each = Masks(*(np.stack([mask] * T) for mask in (locked.input, locked.between[0], locked.output)))
    each = each._replace(between=(each.between,))
    np.testing.assert_array_equal(
        net.forward(INPUTS, TARGETS, masks=locked)[0], net.forward(INPUTS, TARGETS, masks=each)[0]
    )


def test_parameters_of_another_network_are_refused():
    net = drawn({"cell": "lstm"})
    with pytest.raises(ValueError, match="parameters"):
        Network(replace(net.config, forget_gate=False), net.p)
    with pytest.raises(ValueError, match="one layer"):
        Config(V, H, "jordan", layers=2)
    with pytest.raises(ValueError, match="as wide as"):
        Config(V, H, embedding=3, tied=True)


# ---- without a forget gate


@pytest.mark.parametrize("peephole", [False, True])
def test_without_a_forget_gate_the_new_cell_state_is_the_old_plus_what_is_let_in(peephole):
    """One unit, one input 1.0, by the equations of Hochreiter and Schmidhuber (1997) in scalars."""
    u, v, b, p = (0.3, -0.8, 0.6), (0.5, 0.9, -0.4), (0.1, 0.2, -0.3), (-0.7, 1.1)
    params = {"U": [u], "W": [v], "b": b, "O": [[0.0]]} | ({"p": [[p[0]], [p[1]]]} if peephole else {})
    config = Config(1, 1, "lstm", forget_gate=False, peephole=peephole, output_bias=False)
    _, hidden, _ = Network(config, params).forward([[0], [0], [-1]], [[-1]] * 3, [np.array([[[0.2]], [[0.4]]])])
    h, c, expected = 0.2, 0.4, []
    for x in (1.0, 1.0, 0.0):
        i, g, o = (u[k] * x + v[k] * h + b[k] for k in range(3))
        old = c
        c += math.tanh(g) / (1 + math.exp(-(i + peephole * p[0] * old)))
        h = math.tanh(c) / (1 + math.exp(-(o + peephole * p[1] * c)))
        expected.append(h)
    np.testing.assert_allclose(hidden[0, :, 0, 0], expected, rtol=1e-14)


CLOSED = -1000.0  # the bias of a gate that stays shut


def lstm_with_shut_input(**settings):
    """A network whose input gates are 0 (e^-50, which is lost beside any cell state here)."""
    net = drawn({"cell": "lstm"}, **settings)
    net.p["b"][:H] = CLOSED
    return net


def test_with_a_shut_input_gate_the_error_carousel_keeps_the_cell_state_for_ever():
    net = lstm_with_shut_input(forget_gate=False)
    inputs = np.random.default_rng(4).integers(-1, V, (1000, B))
    (state,) = some_states(net)
    _, hidden, (after,) = net.forward(inputs, np.full_like(inputs, -1), [state])
    np.testing.assert_array_equal(after[1], state[1])
    assert np.ptp(hidden[0], axis=0).min() > 0.01  # the output gate is open and moves

    forgetting = lstm_with_shut_input(forget_gate=True)
    _, _, (after,) = forgetting.forward(inputs, np.full_like(inputs, -1), [state])
    assert abs(after[1]).max() < 1e-20  # a shut input gate is e^-50


@pytest.mark.parametrize("forget_gate", [False, True])
def test_only_the_carousel_hands_the_error_of_the_cell_state_back_unchanged(forget_gate):
    net = lstm_with_shut_input(forget_gate=forget_gate)
    cell = LSTM(net.p, net.config)
    rng = np.random.default_rng(5)
    state, tapes = tuple(some_states(net)[0]), []
    for _ in range(50):
        _, state, tape = cell.step(rng.normal(size=(B, net.config.gates * H)) + net.p["b"], state)
        tapes.append(tape)
    dc = rng.normal(size=(B, H))
    dstate = (np.zeros((B, H)), dc)
    for tape in reversed(tapes):
        _, dstate, _ = cell.back(tape, np.zeros((B, H)), dstate)
    if forget_gate:
        assert abs(dstate[1] / dc).max() < 1e-3
    else:
        np.testing.assert_array_equal(dstate[1], dc)
