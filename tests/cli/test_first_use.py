"""What commands compile at their first use is what the lists say that two processes share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import first_use

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.compiled


def test_the_lists_name_what_the_commands_call():
    for group, lines in first_use.groups(os.environ["NUMBA_CACHE_DIR"]).items():
        package, name = group.split("/")
        text = (ROOT / package / "first_use.txt").read_text()
        listed = text.split(f"[{name}]\n")[1].split("\n\n")[0].strip().split("\n")
        assert sorted(listed) == sorted(lines), f"{group}: `make first-use` writes the lists anew"


def test_a_second_process_compiles_what_is_expected_and_both_give_what_one_gives(tmp_path):
    (tmp_path / "text").write_text(first_use.TEXT)
    code = (
        "import sys; from corpora.compute import ahead; import w2v.cli\n"
        "processors = int(sys.argv.pop(1)); ahead.available = lambda: processors\n"
        "code = w2v.cli.run(sys.argv[1:]); ahead._helper and ahead._helper.wait()\n"
        "print(code, ahead._helper is not None)"
    )
    line = "train text -o {} --min-count 1 --size 10 --iter 1 --threads 1 --format text"
    for processors, out in (("1", "alone"), ("2", "together")):
        run = subprocess.run(
            [sys.executable, "-c", code, processors, *line.format(out).split()], cwd=tmp_path, capture_output=True,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / f"code-{out}"), "PYTHONPATH": str(ROOT)}, text=True,
            check=True,
        )  # fmt: skip
        assert run.stdout.endswith(f"\n0 {processors == chr(50)}\n"), run.stderr
    assert (tmp_path / "alone").read_bytes() == (tmp_path / "together").read_bytes()
    one, two = ({path.name for path in (tmp_path / f"code-{out}").rglob("*.nbc")} for out in ("alone", "together"))
    assert one <= two  # of what is listed for all commands it also compiles what this one does not need
    assert not list(tmp_path.rglob("*.lock"))
