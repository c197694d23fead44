"""What every training run does: say what memory it takes, keep its state on the way, stop when it is asked to."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress

from corpora.errors import CorpusError
from corpora.jobs.system import available_memory, readable_size, resident_memory

OVERHEAD = 130 << 20  # bytes: Python and what it has loaded, where the system does not say
KERNELS = 10 << 20  # bytes: those of training are loaded later
SLOW = 3  # seconds to load kernels, beyond which they were compiled
TIMES = ("seconds", "words_per_second")  # of an epoch's report: model files hold none


class Diverged(CorpusError):
    """What was learnt is no longer a number."""


class TrainingRun(ABC):
    """A run that can be interrupted.  ``say``: where notes go, one line each.

    ``checkpoint``: where its state goes, None: nowhere; every ``checkpoint_minutes``, None: never.
    """

    checkpoint: str | None
    checkpoint_minutes: float | None
    say: Callable[[str], None]
    _bar: object = None
    _saved_at: float

    @abstractmethod
    def _save_checkpoint(self) -> None:
        """Write the state.  Diverged, or CorpusError where the disk does not allow it."""

    def _require_memory(self, more: int, ids: int, figure: str, remedy: str) -> None:
        """Say how many bytes the run takes; CorpusError where ``more`` than there are now are not free.

        ``ids``: bytes of ids in memory.  ``figure``: what the memory is for.  ``remedy``: what to do about it.
        """
        held, free = resident_memory(), available_memory()
        if free is not None and more > free:
            raise CorpusError(
                f"training needs about {readable_size(more)} more of memory ({figure}), "
                f"{readable_size(free)} are free: {remedy}"
            )
        self.say(f"memory: about {readable_size(more + (ids + OVERHEAD if held is None else held))} ({figure})")

    def _tell_compiled(self, seconds: float) -> None:
        """Say that kernels were compiled, if they were."""
        if seconds > SLOW:
            self.say(f"compiled in {seconds:.0f} s; kept for the next time")

    def _forget_checkpoint(self) -> None:
        if self.checkpoint is not None:
            with suppress(FileNotFoundError):
                os.remove(self.checkpoint)

    def _is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        if self.checkpoint is None or self.checkpoint_minutes is None:
            return False
        return time.monotonic() - self._saved_at >= 60 * self.checkpoint_minutes

    def _try_checkpoint(self) -> None:
        """Save the state on the way: where that fails, training goes on."""
        try:
            self._save_checkpoint()
        except Diverged:
            raise
        except CorpusError as error:
            self._tell(f"Warning: {error}; training goes on without a new checkpoint")
        self._saved_at = time.monotonic()

    def _tell_stopping(self) -> None:
        self._tell(f"stopping: the state goes to {self.checkpoint} (Ctrl-C once more: at once, without it)")

    @staticmethod
    def _end(number: int) -> None:
        """Raise what a signal asks for: KeyboardInterrupt for Ctrl-C, else SystemExit."""
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _clear_bar(self) -> None:
        if hasattr(self._bar, "clear"):  # one that is shown: it comes back below what is printed now
            self._bar.clear()

    def _tell(self, line: str) -> None:
        self._clear_bar()
        self.say(line)
