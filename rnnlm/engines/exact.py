"""Online learning with every floating-point operation in rnnlm 0.4b's own order; of Elman's network, in float64."""

from __future__ import annotations

from rnnlm.engines.online import Online


class Exact(Online):
    """As ``Online``, by the plain loops of ``exact_kernels``."""

    slowness = 4

    def _kernel(self):
        from rnnlm.engines.exact_kernels import learn_stream_exact

        return learn_stream_exact


ENGINE = Exact
