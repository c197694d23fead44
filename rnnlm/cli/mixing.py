"""Options by which several models become one, and a cache joins them."""

from __future__ import annotations

from typing import NamedTuple

import click

from corpora.command import options
from corpora.command.options import ABOVE_0, FROM_0, Number

weights_option = click.option(
    "--weight", "weights", type=FROM_0, multiple=True, metavar="X",
    help="With several models: the weight of each in their mixture, in the order of -m.  [default: equal ones]",
)  # fmt: skip
log_linear_option = click.option(
    "--log-linear", is_flag=True,
    help="Mix by products of powers, normalised, instead of by sums: slow, at every word all words are looked at.",
)  # fmt: skip
cache_options = options.apply(
    click.option(
        "--cache", type=click.IntRange(min=1), metavar="N",
        help="Mix with a cache: the shares of words among the last N.",
    ),
    click.option(
        "--cache-decay", type=ABOVE_0, metavar="X",
        help="Words in the cache count less the longer ago they were: exp(-X) for each word since.",
    ),
    click.option("--cache-weight", type=Number(0, 1), metavar="X", help="Weight of the cache.  [default: 0.1]"),
    click.option(
        "--neural-cache", type=click.IntRange(min=1), metavar="N",
        help="Mix with a neural cache: of the last N words, those count most that came in a like state of the first "
        "recurrent model.",
    ),
    click.option(
        "--neural-cache-theta", "neural_theta", type=FROM_0, metavar="X",
        help="How much more: exp(X times the product of both states).  [default: 0.3]",
    ),
    click.option(
        "--neural-cache-weight", "neural_weight", type=Number(0, 1), metavar="X",
        help="Weight of the neural cache.  [default: 0.1]",
    ),
)  # fmt: skip


class MixOptions(NamedTuple):
    """What these options say; None where they are not given."""

    weights: tuple[float, ...] | None
    kind: str
    cache_size: int | None
    cache_decay: float | None
    cache_weight: float | None
    neural_cache: int | None
    neural_theta: float | None
    neural_weight: float | None

    @classmethod
    def of(
        cls, context: click.Context, n_models: int, *, weights, log_linear, cache, cache_decay, cache_weight,
        neural_cache, neural_theta, neural_weight,
    ):  # fmt: skip
        """The options of a command for ``n_models`` models; a usage error where they do not fit."""
        if cache_weight is not None and cache is None and cache_decay is None:
            raise click.UsageError("--cache-weight: without --cache or --cache-decay there is no cache", context)
        if neural_cache is None and (neural_theta is not None or neural_weight is not None):
            name = "theta" if neural_theta is not None else "weight"
            raise click.UsageError(f"--neural-cache-{name}: without --neural-cache there is none", context)
        kind = "log-linear" if log_linear else "linear"
        if weights:
            from rnnlm.mixtures.mixture import check_weights

            with options.wrong_usage(context):
                check_weights(weights, n_models, kind)
        return cls(
            weights or None, kind, cache, cache_decay, cache_weight, neural_cache, neural_theta, neural_weight
        )

    def mixture(self, models, files=None):
        """One mixture of them all.  ``files``: where they were read from, for a mixture that is saved."""
        from rnnlm.mixtures.mixture import assemble

        return assemble(models, files=files, **self._asdict())

    def model(self, models):
        """The mixture, or the only model itself."""
        single = len(models) == 1 and not any(
            value is not None for value in (self.weights, self.cache_size, self.cache_decay, self.neural_cache)
        )
        return models[0] if single else self.mixture(models)
