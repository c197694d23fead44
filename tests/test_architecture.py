"""The direction of dependence, read from the source: who may import what, and when."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [name for name in ("corpora", "rnnlm", "w2v") if (ROOT / name).is_dir()]
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
# what kernels may use beside each other: decorators, vector intrinsics, and the constants and tuples that they share
COMPUTE = {f"corpora.compute.{path.stem}" for path in (ROOT / "corpora" / "compute").glob("*.py")}
FOR_KERNELS = COMPUTE | {
    "w2v.plain_rows",
    "w2v.config",
    "w2v.objectives.objective",
    "rnnlm.plain_matrix_loops",
    "rnnlm.config",
    "rnnlm.optimizers",
    "rnnlm.arrays",
    "rnnlm.cells",
    "rnnlm.outputs",
    "rnnlm.ngram.trie",
}
DECORATORS = {"kernel", "stage", "exact_kernel", "parallel_kernel", "intrinsic"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def names_in(node: ast.AST):
    """The modules that an import statement names; ``from package import module`` counts as the module."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import, line {node.lineno}"
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if whole in MODULES else node.module


def imports(module: str) -> set[str]:
    """Everywhere in the module, inside functions too."""
    return {name for node in ast.walk(tree_of(module)) for name in names_in(node)}


def at_import_time(module: str) -> set[str]:
    """Outside functions and outside ``if TYPE_CHECKING``."""
    found, waiting = set(), [tree_of(module)]
    while waiting:
        node = waiting.pop()
        found.update(names_in(node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return found


def has_kernels(module: str) -> bool:
    return any(
        isinstance(name := getattr(decorator, "func", decorator), ast.Name) and name.id in DECORATORS
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    )


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in PACKAGES}


every_module = pytest.mark.parametrize("module", MODULES)
WITH_KERNELS = [module for module in MODULES if has_kernels(module)]


def test_this_test_sees_the_source():
    assert {"corpora.compute.simd", "rnnlm.engines.exact_kernels", "rnnlm.cells.elman", "rnnlm.outputs.softmax"} <= set(
        WITH_KERNELS
    )
    assert "rnnlm.trainer" in MODULES
    assert "rnnlm.trainer" not in WITH_KERNELS
    assert "rnnlm.io" in imports("rnnlm") - at_import_time("rnnlm")
    assert "numba" in at_import_time("corpora.compute.compiler")


@every_module
def test_packages_depend_on_corpora_and_never_on_each_other(module):
    package = module.split(".")[0]
    allowed = {"corpora", package}
    assert {name.split(".")[0] for name in ours(imports(module))} <= allowed


@pytest.mark.parametrize("module", WITH_KERNELS)
def test_kernels_use_arrays_intrinsics_and_each_other_only(module):
    assert ours(imports(module)) <= FOR_KERNELS | set(WITH_KERNELS)
    others = {name.split(".")[0] for name in imports(module)} - set(PACKAGES) - sys.stdlib_module_names
    assert others <= {"numpy"}


@every_module
def test_only_the_compiler_imports_numba_and_only_what_calls_machine_code_llvm(module):
    found = {name.split(".")[0] for name in at_import_time(module)} & {"numba", "llvmlite"}
    allowed = {f"corpora.compute.{name}": {"numba", "llvmlite"} for name in ("compiler", "llvm")}
    callers = {f"corpora.compute.{name}": {"llvmlite"} for name in ("native", "machine")}
    assert found <= (allowed | callers).get(module, set())
    assert not {"corpora.compute.compiler", "corpora.compute.llvm"} & at_import_time(module) or module in allowed


def is_command(module: str) -> bool:
    """A module ``cli``, or one of a package of that name."""
    return "cli" in module.split(".")


@every_module
def test_only_the_command_line_knows_click(module):
    if not is_command(module) and not module.startswith("corpora.command."):
        assert "click" not in {name.split(".")[0] for name in imports(module)}


SPELLED_AS_OPTION = re.compile(r"(?<![\w-])--[a-z]")
OF_OTHER_PROGRAMS = {"compile-lm --text=yes", "rnnlm ppl --report word"}  # whole commands, as one would type them


@every_module
def test_messages_of_the_library_name_settings_and_do_not_spell_options(module):
    """A command replaces `max_epochs` by --max-iter, the old command line by -max-iter."""
    if is_command(module) or {"command", "legacy"} & set(module.split(".")):
        return
    tree = tree_of(module)
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    declared = {
        id(keyword.value) for node in ast.walk(tree) if isinstance(node, ast.Call)
        for keyword in node.keywords if keyword.arg == "option"
    }  # fmt: skip
    texts = [
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents | declared
    ]  # fmt: skip
    found = [text for text in texts if SPELLED_AS_OPTION.search(text)]
    assert not [text for text in found if not any(known in text for known in OF_OTHER_PROGRAMS)]


@every_module
def test_nothing_but_a_command_imports_a_command(module):
    if not is_command(module) and MODULES[module].name != "__main__.py":
        assert not set(filter(is_command, imports(module)))


def test_no_module_needs_itself_to_be_imported():
    needs = {module: ours(at_import_time(module)) & set(MODULES) - {module} for module in MODULES}
    loaded: set[str] = set()
    while ready := [module for module in needs if module not in loaded and needs[module] <= loaded]:
        loaded.update(ready)
    assert not set(MODULES) - loaded


def enclosing(module: str) -> set[str]:
    """The packages that a module is in."""
    parts = module.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def needs(module: str) -> set[str]:
    """The modules of ours that a module names, inside functions too, and their packages, which are imported first."""
    named = (ours(imports(module)) & set(MODULES)) - only_for_types(module)
    return (named | {package for name in named for package in enclosing(name) - enclosing(module)}) - {module}


def only_for_types(module: str) -> set[str]:
    conditions = (node for node in ast.walk(tree_of(module)) if isinstance(node, ast.If))
    bodies = [node.body for node in conditions if "TYPE_CHECKING" in ast.unparse(node.test)]
    inside = {id(node) for body in bodies for statement in body for node in ast.walk(statement)}
    elsewhere = {name for node in ast.walk(tree_of(module)) if id(node) not in inside for name in names_in(node)}
    return imports(module) - elsewhere


# rnnlm.load and its like, names of the package that import their module only when they are called; and the compiler,
# which kernels load when there is something to compile, and which itself is made of their descriptions
LOADED_LATE = {*PACKAGES, "corpora.compute.compiler"}


def test_no_import_goes_in_a_circle_also_inside_functions():
    left = {module: set() if module in LOADED_LATE else needs(module) for module in MODULES}
    while ready := {module for module, needed in left.items() if not needed}:
        left = {module: needed - ready for module, needed in left.items() if module not in ready}
    # what is left are the circles and all that needs them: drop those that nothing in a circle needs
    while unneeded := left.keys() - {name for needed in left.values() for name in needed}:
        left = {module: needed for module, needed in left.items() if module not in unneeded}
    assert not left


def test_no_package_of_n_grams_formats_or_text_needs_one_that_needs_it():
    layers = ["corpora.errors", "corpora.text", "rnnlm.ngram", "rnnlm.io"]
    for place, layer in enumerate(layers):
        later = tuple(layers[place + 1 :])
        own = [module for module in MODULES if (module + ".").startswith(layer + ".")]
        assert own
        assert not {(module, name) for module in own for name in needs(module) if name.startswith(later)}


@pytest.mark.parametrize("module", [name for name in MODULES if name in PACKAGES or is_command(name)])
def test_a_command_starts_without_numpy_and_the_compiler(module):
    code = (
        f"import sys, {module}; "
        "print(sorted({'numpy', 'numba', 'llvmlite', 'scipy', 'pooch', 'tqdm'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "[]"


def test_every_package_is_in_the_distribution():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    on_disk = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    assert set(listed) == on_disk
    assert all((path.parent / "__init__.py").exists() for path in SOURCES)


def test_what_is_imported_is_declared_and_nothing_else_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *(line for extra in ("ja", "wer", "onnx") for line in extras[extra])]
    declared = {re.match(r"[\w-]+", line)[0] for line in listed}
    found = {name.split(".")[0] for module in MODULES for name in imports(module)}
    # the dictionary is found by fugashi
    assert found - sys.stdlib_module_names - set(PACKAGES) == declared - {"unidic-lite"}


def committed_files() -> list[Path]:
    try:
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout: which files are committed is not known")
    return [ROOT / os.fsdecode(name) for name in names.split(b"\0") if name]


def test_no_committed_file_names_a_path_of_the_machine_it_was_written_on():
    here = {ROOT, ROOT.parent, Path.home()} - {Path(path.anchor) for path in (ROOT, Path.home())}
    pattern = re.compile(rb"(?<![\w.])(" + b"|".join(re.escape(os.fsencode(path)) for path in here) + rb")[/\\]")
    found = [path for path in committed_files() if path.is_file() and pattern.search(path.read_bytes())]
    assert not found
