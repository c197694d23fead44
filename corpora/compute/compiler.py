"""Compiling: Numba turns a kernel into LLVM's bitcode, and this into an object file that needs nothing of Numba.

There are two products.  The bitcode of a function is what kernels that call it link in.  An entry, which Python calls,
is the same bitcode with a few lines in front that take arrays apart; only for entries is machine code made.

Numba links copies of a kernel's callees into its code as weak symbols.  Here they become local symbols once they are
optimised, so that a kernel's bits depend on its source alone and not on what else the process has compiled.

This rests on internals of Numba; tests/corpora/test_compiler.py sees when they change.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult, DefaultPassBuilder, PassManager
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering
from numba.core.typing.templates import infer, make_intrinsic_template
from numba.extending import _Intrinsic, overload

from corpora.compute import code_cache, jit
from corpora.compute.jit import _exp32, _exp64
from corpora.compute.kernels import Kernel
from corpora.compute.native import Code


def _load_array_functions() -> None:
    """Load Numba's array functions, which every kernel needs, without SciPy's linear algebra: a fifth of a second.

    They only ask whether it is there, and no kernel here has products of matrices.
    """
    name = "scipy.linalg.cython_blas"
    stands_in = name not in sys.modules and find_spec("scipy") is not None
    if stands_in:
        sys.modules[name] = ModuleType(name)
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        if stands_in:
            del sys.modules[name]


_load_array_functions()
from numba.np.arrayobj import populate_array  # noqa: E402 - after SciPy's stand-in


# inlined, since a function of its own would be compiled anew in every process, with the flags of its first caller
@overload(jit.exp, inline="always")
def _exp_in_kernels(x):
    if x == types.float32:
        return lambda x: _exp32(x)
    if x == types.float64:
        return lambda x: _exp64(x)
    return None


# ---- functions for other kernels


class _Library(JITCodeLibrary):
    """The bitcode of a function, of which no machine code is made; optimised, unless its callers do that."""

    is_optimised = True

    def _optimize_final_module(self):
        if self.is_optimised:
            super()._optimize_final_module()

    def optimised(self) -> llvm.ModuleRef:
        """A copy of the bitcode, optimised in any case."""
        mine = self._final_module
        copy = self._final_module = mine.clone()
        try:
            if not self.is_optimised:
                super()._optimize_final_module()
                copy = self._final_module
        finally:
            self._final_module = mine
        return copy

    def _finalize_final_module(self):
        # what others link in is written and read once, as it is when it comes from a file: the same module, then
        shared = llvm.parse_bitcode(self._final_module.as_bitcode())
        for function in shared.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.external:
                function.linkage = llvm.Linkage.linkonce_odr
        self._shared_module = shared
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.linkonce_odr:
                function.linkage = llvm.Linkage.internal
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True


class _EntryPoint:
    """Stands for the function's address, by which Numba finds its code again."""


@register_pass(mutates_CFG=True, analysis_only=False)
class _LoweringToBitcode(NativeLowering):
    _name = "lowering_to_bitcode"

    def run_pass(self, state):
        state.flags.no_compile = True
        super().run_pass(state)
        entry_point = _EntryPoint()
        state.targetctx.insert_user_function(entry_point, state["cr"].fndesc, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=entry_point)
        return True


class BitcodeCompiler(Compiler):
    """Numba's compiler as far as the optimised bitcode."""

    is_optimised = True

    def define_pipelines(self):
        state = self.state
        if state.library is None:
            state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
            state.library.is_optimised = self.is_optimised
        passes = PassManager("to bitcode")
        for part in (
            DefaultPassBuilder.define_untyped_pipeline(state),
            DefaultPassBuilder.define_typed_pipeline(state),
            DefaultPassBuilder.define_nopython_lowering_pipeline(state),
        ):
            for kind, description in part.passes:
                passes.add_pass(_LoweringToBitcode if kind is NativeLowering else kind, description)
        passes.finalize()
        return [passes]


class StageCompiler(BitcodeCompiler):
    """Numba's compiler as far as bitcode that the functions which call it optimise."""

    is_optimised = False


class _BitcodeCache:
    """What a dispatcher of Numba asks for a function's bitcode, in place of its own cache."""

    def __init__(self, kernel: Kernel):
        self._kernel = kernel
        self.keeps = True  # entries are kept as such

    def load_overload(self, sig, target_context):
        found = code_cache.load_bitcode(self._kernel, str(sig))
        if found is None:
            return None
        target_context.refresh()
        known, name, bitcode, fndesc, signature = found
        if known != sig:
            return None
        library = _Library(target_context.codegen(), name)
        library.is_optimised = self._kernel.is_optimised_alone
        library._final_module = llvm.parse_bitcode(bitcode)
        library._finalize_final_module()
        return CompileResult(
            typing_context=target_context.typing_context, target_context=target_context, entry_point=_EntryPoint(),
            typing_error=None, type_annotation=None, signature=signature, objectmode=False, lifted=(), fndesc=fndesc,
            library=library, call_helper=None, environment=None, metadata=None, reload_init=[], referenced_envs=[],
        )  # fmt: skip

    def save_overload(self, sig, data):
        if not self.keeps or data.lifted or data.library.has_dynamic_globals or data._find_referenced_environments():
            return
        data.fndesc.typemap = data.fndesc.calltypes = None
        content = (sig, data.library.name, data.library._final_module.as_bitcode(), data.fndesc, data.signature)
        code_cache.save_bitcode(self._kernel, str(sig), content)


def dispatcher_of(kernel: Kernel):
    """Numba's object for a kernel."""
    made = njit(
        nogil=True, error_model="numpy", fastmath=set(kernel.fastmath), no_cpython_wrapper=True, no_cfunc_wrapper=True,
        pipeline_class=BitcodeCompiler if kernel.is_optimised_alone else StageCompiler,
    )(kernel.py_func)  # fmt: skip
    made._cache = _BitcodeCache(kernel)
    # Numba would keep the address for calls from Python as well
    made.add_overload = lambda compiled: made.overloads.__setitem__(tuple(compiled.signature.args), compiled)
    find = made.get_call_template
    # a literal is a number like any other: else a call with 0 would compile the callee once more
    made.get_call_template = lambda args, kws: find(tuple(map(types.unliteral, args)), kws)
    return made


def type_of_kernel(kernel: Kernel):
    """What Numba knows a kernel as."""
    return types.Dispatcher(kernel.dispatcher)


def type_of_intrinsic(definition):
    """What Numba knows one of our intrinsics as."""
    name = getattr(definition, "__name__", str(definition))
    template = make_intrinsic_template(_Intrinsic(name, definition), definition, name, kwargs={})
    infer(template)
    return types.Function(template)


# ---- entries

_NUMBERS = {
    "?": types.boolean, "f": types.float32, "d": types.float64, "b": types.int8, "B": types.uint8, "h": types.int16,
    "H": types.uint16, "i": types.int32, "I": types.uint32, "q": types.int64, "Q": types.uint64, "l": types.int64,
    "L": types.uint64,
}  # fmt: skip
_ELEMENTS = {"|b1": types.boolean, "|i1": types.int8, "|u1": types.uint8} | {
    f"<{kind}{size}": getattr(types, f"{name}{8 * size}")
    for kind, name, sizes in (("i", "int", (2, 4, 8)), ("u", "uint", (2, 4, 8)), ("f", "float", (4, 8)))
    for size in sizes
}
_CODES = {kind: code for code, kind in reversed(_NUMBERS.items())}
# of 8 bytes each
_SLOTS = {"?": "?7x", "f": "f4x", "b": "b7x", "B": "B7x", "h": "h6x", "H": "H6x", "i": "i4x", "I": "I4x"} | {
    "l": "q", "L": "Q",
}  # fmt: skip

# what compiled code needs of Numba's memory management, without Numba: a count of references before each block
_RUNTIME = """
declare ptr @malloc(i64)
declare void @free(ptr)

define linkonce_odr ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
  %wide = zext i32 %align to i64
  %more = add i64 %size, 48
  %whole = add i64 %more, %wide
  %info = call ptr @malloc(i64 %whole)
  %failed = icmp eq ptr %info, null
  br i1 %failed, label %none, label %good
none:
  ret ptr null
good:
  %first = getelementptr i8, ptr %info, i64 48
  %address = ptrtoint ptr %first to i64
  %last = sub i64 %wide, 1
  %up = add i64 %address, %last
  %mask = xor i64 %last, -1
  %aligned = and i64 %up, %mask
  %data = inttoptr i64 %aligned to ptr
  store i64 1, ptr %info
  %dtor = getelementptr i8, ptr %info, i64 8
  store ptr null, ptr %dtor
  %dtor_info = getelementptr i8, ptr %info, i64 16
  store ptr null, ptr %dtor_info
  %data_at = getelementptr i8, ptr %info, i64 24
  store ptr %data, ptr %data_at
  %size_at = getelementptr i8, ptr %info, i64 32
  store i64 %size, ptr %size_at
  %allocator = getelementptr i8, ptr %info, i64 40
  store ptr null, ptr %allocator
  ret ptr %info
}

define linkonce_odr void @NRT_MemInfo_call_dtor(ptr %info) {
  call void @free(ptr %info)
  ret void
}
"""
# what a process has without Numba: functions of the C library, of float64 and, with an f, of float32
_OF_NUMBERS = (
    "ceil", "exp", "exp2", "expm1", "floor", "fma", "fmod", "log", "log10", "log1p", "log2", "nearbyint", "pow", "rint",
    "cos", "sin", "sqrt", "tanh", "trunc",
)  # fmt: skip
_FROM_C = {"bcmp", "free", "malloc", "memcmp", "memcpy", "memmove", "memset"} | {
    name + width for name in _OF_NUMBERS for width in ("", "f")
}


@global_compiler_lock
def compile_entry(kernel: Kernel, words: tuple) -> Code:
    """Compile a kernel for the arguments that a key in words describes."""
    args = tuple(map(_type_of, words))
    dispatcher = kernel.dispatcher
    dispatcher._cache.keeps = False
    try:
        dispatcher.compile(args)
    finally:
        dispatcher._cache.keeps = True
    compiled = dispatcher.overloads[args]
    compiled.library._ensure_finalized()
    context = compiled.target_context
    symbol = f"entry.{kernel.__module__}.{kernel.__qualname__}.{code_cache.digest(repr(words))}"
    module = context.create_module("entry")
    arguments, results, is_tuple = _add_entry(context, module, symbol, compiled.fndesc)
    whole = llvm.parse_assembly(cgutils.normalize_ir_text(str(module)))
    whole.link_in(compiled.library.optimised())
    runtime = llvm.parse_assembly(_RUNTIME)
    runtime.triple, runtime.data_layout = whole.triple, whole.data_layout
    whole.link_in(runtime)
    for function in whole.functions:
        if function.is_declaration:
            if not function.name.startswith("llvm.") and function.name not in _FROM_C:
                raise NotImplementedError(f"{kernel.__qualname__} calls {function.name}, which only Numba has")
        elif function.name != symbol:
            function.linkage = llvm.Linkage.internal
    for variable in whole.global_variables:
        if not variable.is_declaration:
            variable.linkage = llvm.Linkage.internal
    whole.verify()
    machine_code = context.codegen()._tm.emit_object(whole)
    return Code(symbol, arguments, results, is_tuple, machine_code)


def _type_of(part):
    if isinstance(part, tuple):
        name, members = part
        module, _, kind = name.rpartition(".")
        return types.BaseTuple.from_types(list(map(_type_of, members)), getattr(import_module(module), kind))
    if part in _NUMBERS:
        return _NUMBERS[part]
    element, ndim, layout = part.split()
    return types.Array(_ELEMENTS[element], int(ndim), layout[0], readonly=layout.endswith("r"), aligned=True)


def _add_entry(context, module, symbol: str, fndesc) -> tuple[str, str, bool]:
    """Add the function that Python calls to a module; the formats of its arguments and results."""
    address = ir.IntType(8).as_pointer()
    entry = ir.Function(module, ir.FunctionType(ir.IntType(32), [address, address]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("start"))
    slots = SimpleNamespace(builder=builder, at=entry.args[0], used=[])
    values = [_argument(context, slots, kind) for kind in fndesc.argtypes]
    function = ir.Function(
        module, context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes), fndesc.llvm_func_name
    )
    status, result = context.call_conv.call_function(builder, function, fndesc.restype, fndesc.argtypes, values)
    with builder.if_then(status.is_error, likely=False):
        where = builder.bitcast(entry.args[1], status.excinfoptr.type.as_pointer())
        builder.store(status.excinfoptr, where)
        builder.ret(ir.Constant(ir.IntType(32), 1))
    results, is_tuple = _store_results(context, builder, entry.args[1], fndesc.restype, result)
    builder.ret(ir.Constant(ir.IntType(32), 0))
    return "=" + "".join(slots.used), results, is_tuple


def _argument(context, slots, kind):
    builder = slots.builder
    if isinstance(kind, types.BaseTuple):
        members = [_argument(context, slots, member) for member in kind]
        return context.make_tuple(builder, kind, members)
    place = builder.gep(slots.at, [ir.Constant(ir.IntType(64), 8 * len(slots.used))])
    if isinstance(kind, types.Array):
        slots.used.append("q")
        return _array(context, builder, kind, builder.load(builder.bitcast(place, ir.IntType(64).as_pointer())))
    code = _CODES[kind]
    slots.used.append(_SLOTS.get(code, code))
    if code == "?":
        return builder.icmp_unsigned("!=", builder.load(place), ir.Constant(ir.IntType(8), 0))
    value_type = context.get_value_type(kind)
    return builder.load(builder.bitcast(place, value_type.as_pointer()))


def _array(context, builder, kind, address):
    """An array as Numba has it, from NumPy's object: data, number of dimensions, shape and strides follow its head."""
    word = ir.IntType(64)
    head = object.__basicsize__

    def field(offset: int):
        at = builder.inttoptr(builder.add(address, ir.Constant(word, head + offset)), word.as_pointer())
        return builder.load(at)

    def numbers(offset: int):
        first = builder.inttoptr(field(offset), word.as_pointer())
        return [builder.load(builder.gep(first, [ir.Constant(word, i)])) for i in range(kind.ndim)]

    made = context.make_array(kind)(context, builder)
    populate_array(
        made,
        data=builder.inttoptr(field(0), made.data.type),
        shape=cgutils.pack_array(builder, numbers(16), ty=word),
        strides=cgutils.pack_array(builder, numbers(24), ty=word),
        itemsize=ir.Constant(word, context.get_abi_sizeof(context.get_data_type(kind.dtype))),
        meminfo=None,
    )
    return made._getvalue()


def _store_results(context, builder, out, kind, value) -> tuple[str, bool]:
    kind = types.unliteral(kind)
    if kind == types.none:
        return "", False
    is_tuple = isinstance(kind, types.BaseTuple)
    members = list(kind) if is_tuple else [kind]
    form = ""
    for i, member in enumerate(members):
        code = _CODES.get(member)
        if code is None:
            raise NotImplementedError(f"a kernel returns {member}: only numbers and tuples of them can be returned")
        one = builder.extract_value(value, i) if is_tuple else value
        place = builder.gep(out, [ir.Constant(ir.IntType(64), 8 * i)])
        if code == "?":
            one = builder.zext(one, ir.IntType(8))
        builder.store(one, builder.bitcast(place, one.type.as_pointer()))
        form += _SLOTS.get(code, code)
    return "=" + form, is_tuple
