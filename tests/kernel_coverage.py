"""How many statements of the kernels a run of ``coverage`` with NUMBA_DISABLE_JIT=1 has reached: ``make coverage``."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from pathlib import Path

DECORATORS = {"kernel", "exact_kernel", "_contracted"}


def kernels(path: Path) -> set[str]:
    """The names of a file's kernels."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and DECORATORS & {ast.unparse(name) for name in node.decorator_list}
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run([sys.executable, "-m", "coverage", "json", "-q", "-o", report], check=True)
        files = json.loads(report.read_text())["files"]
    reached = of = 0
    for name, found in sorted(files.items()):
        names = kernels(Path(name)) & set(found["functions"])
        summaries = [found["functions"][kernel]["summary"] for kernel in names]
        covered, statements = (sum(s[key] for s in summaries) for key in ("covered_lines", "num_statements"))
        if statements:
            missing = sorted(line for kernel in names for line in found["functions"][kernel]["missing_lines"])
            print(f"{name:34} {covered:5} of {statements:5}  {100 * covered / statements:5.1f} %", *missing)
        reached, of = reached + covered, of + statements
    print(f"all kernels: {reached} of {of} statements, {100 * reached / of:.1f} %")


if __name__ == "__main__":
    main()
