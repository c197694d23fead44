"""Clipping: by value, what goes back through time; by norm, all gradients together."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference.networks import Network
from tests.rnnlm.test_minibatch import B, T, engine_for, every_network, gradient_in_full, model_of, text, twin_of


class Clipped(Network):
    """The twin whose errors of hidden units are cut to +-limit on their way from step to step; those of cells are not.

    Pascanu et al. (2013), section 3.2, has the norm; 0.4b has it element by element.
    """

    limit = 0.0

    def cells(self):
        for cell in super().cells():
            back = cell.back

            def clipped(tape, dhidden, dstate, back=back):
                da, (dh, *others), dparams = back(tape, dhidden, dstate)
                return da, (np.clip(dh, -self.limit, self.limit), *others), dparams

            cell.back = clipped
            yield cell


@every_network
def test_what_goes_back_through_time_is_clipped_by_value(name):
    lm, targets = model_of(name), text(B * T).reshape(B, T)
    inputs = np.concatenate([np.zeros((1, B), int), targets.T[:-1]])
    plain = twin_of(lm)
    twin = Clipped(plain.config, plain.p)
    twin.limit = 0.01  # as of each stream for itself, whatever their number
    engine = engine_for(lm, gradient_cutoff=0.01)
    engine.differentiate(targets)
    expected, unclipped = twin.gradients(inputs, targets.T), plain.gradients(inputs, targets.T)
    assert np.abs(expected["W"] - unclipped["W"]).max() > 1e-4
    for each, gradient in engine.gradients.items():
        np.testing.assert_allclose(gradient_in_full(gradient), -expected[each] / B, rtol=1e-8, atol=1e-10, err_msg=each)


@pytest.mark.parametrize(("limit", "clips"), [(0.1, True), (1e6, False), (0.0, False)])
@pytest.mark.parametrize("name", ["lstm, tied", "lstm, 2 layers", "elman, logistic"])
def test_the_norm_of_a_step_is_at_most_the_limit(name, limit, clips):
    lm, targets = model_of(name), text(B * T).reshape(B, T)
    engine = engine_for(lm, clip_norm=limit)
    before = {each: values.copy() for each, values in lm.params.items()}
    twin = twin_of(lm).gradients(np.concatenate([np.zeros((1, B), int), targets.T[:-1]]), targets.T)
    norm = sum((values**2).sum() for values in twin.values()) ** 0.5 / B
    engine.learn_block(targets, 0.5)
    factor = limit / norm if clips else 1.0
    assert factor < 1 or not clips
    for each, values in lm.params.items():
        np.testing.assert_allclose(values - before[each], -0.5 * factor * twin[each] / B, rtol=1e-7, atol=1e-12)
    step = sum(((values - before[each]) ** 2).sum() for each, values in lm.params.items()) ** 0.5
    assert step == pytest.approx(0.5 * (limit if clips else norm), rel=1e-9)
