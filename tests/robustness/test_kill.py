"""A handful of the kills of ``kill.py``, of which ``make test-robustness`` does more."""

import os
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="kill -9"), pytest.mark.compiled]


@pytest.fixture
def kill(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import kill

    yield kill
    del sys.modules["kill"]


def test_killed_commands_end_as_commands_that_were_not(kill, tmp_path, capsys):
    rnnlm, w2v = kill.JOBS[0], kill.JOBS[3]
    cache = Path(os.environ["NUMBA_CACHE_DIR"])
    code = kill.main(2, 1, [rnnlm, w2v], cold=0, cache=cache)
    assert code == 0, capsys.readouterr().out
