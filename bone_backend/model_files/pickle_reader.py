"""Read the pickle inside a model file without running, calling or loading anything.

In:  the pickle's bytes, and how many bytes of data the archive holds under which name.
Out: plain values, in which every tensor is only described; or a ModelFileError, or Damage where the bytes
     make no sense. Any other exception is a fault of this reader.
A machine of our own follows the opcodes that torch.save writes for plain values and tensors, and no others.
It knows a function by its name and never looks it up. No step costs more than the bytes it takes in the file,
and no message shows a value that may hold others. Needs no torch.
pickle.Unpickler, with a find_class and a persistent_load of one's own, refuses code too, but not cost: 9
bytes that name a far place of its memo take 2 GiB and more, 20,000 keys of one hash take 10 s, and what it
calls, appends to and builds cannot be looked at before.
"""

from __future__ import annotations

import pickle
import pickletools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from ..errors import ModelFileError

MOST_DIMENSIONS = 8
LONGEST_SIDE = 1 << 40
LARGEST_KEY = 1 << 31  # larger ones can be chosen to have the same hash, which makes a dictionary slow
LONGEST_NAME = 200  # of a function
MOST_STEPS = 500_000  # a UNet++ with timm's efficientnetv2_xl needs 65,000

#: storage classes of torch that a state dict can hold: dtype and bytes for each element
STORAGES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}

_WIDTHS = dict(STORAGES.values())


class Damage(Exception):  # noqa: N818 (what was found, for a sentence that names the file)
    """A file does not hold together."""


@dataclass(frozen=True)
class TensorFacts:
    """A tensor that has not been loaded.

    dtype: torch's name. storage: name of its data in the archive. offset: of its first element there.
    """

    dtype: str
    shape: tuple[int, ...]
    storage: str
    offset: int = 0

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Memory that it takes with values of its own."""
        return self.elements * _WIDTHS[self.dtype]


@dataclass(frozen=True)
class _Call:
    """A function of the pickle that is known; it is never called."""

    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str
    elements: int


class PickleReader:
    """Follows the opcodes of a pickle on a stack of its own; knows plain values and tensors only."""

    def __init__(self, name: str, sizes: Mapping[str, int], *, most_steps: int = MOST_STEPS):
        """name: how messages call the file. sizes: bytes of data by the name of their place."""
        self._name, self._most_steps = name, most_steps
        self._sizes = sizes
        self._stack: list[Any] = []
        self._marks: list[int] = []  # where in the stack
        self._memo: dict[int, Any] = {}

    def read(self, text: bytes) -> Any:
        """The value that the pickle describes."""
        with warnings.catch_warnings():  # of unknown escapes in a name, which pickletools decodes
            warnings.simplefilter("ignore", DeprecationWarning)
            return self._read(text)

    def _read(self, text: bytes) -> Any:
        for number, (opcode, argument) in enumerate(_steps(text)):
            if number > self._most_steps:
                raise Damage("a header of too many steps")
            if opcode.name == "STOP":
                return self.top()
            step = _STEPS.get(opcode.name)
            if step is None:
                raise ModelFileError(
                    f"{self._name} holds objects ({opcode.name}), not only weights and plain values."
                )
            step(self, argument)
        raise Damage("the header ends early")

    def protocol(self, number: int) -> None:
        if number > pickle.HIGHEST_PROTOCOL:
            raise Damage(f"protocol {number}")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def top(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise Damage("the header is incomplete")
        return self._stack[-1]

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def since_mark(self) -> list[Any]:
        if not self._marks:
            raise Damage("the header is incomplete")
        place = self._marks.pop()
        items = self._stack[place:]
        del self._stack[place:]
        return items

    def last(self, number: int) -> list[Any]:
        if len(self._stack) - number < (self._marks[-1] if self._marks else 0):
            raise Damage("the header is incomplete")
        items = self._stack[len(self._stack) - number :]
        del self._stack[len(self._stack) - number :]
        return items

    def put(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self.top()

    def get(self, place: int) -> None:
        if place not in self._memo:
            raise Damage("the header names a value that it has not")
        self.push(self._memo[place])

    def append(self, items: list[Any]) -> None:
        if type(self.top()) is not list:
            raise Damage("a list was expected")
        self._stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if type(self.top()) is not dict or len(items) % 2:
            raise Damage("a dictionary was expected")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, (str, int, float)):
                raise Damage(f"a key of type {type(key).__name__}")
            if isinstance(key, int) and not -LARGEST_KEY < key < LARGEST_KEY:
                raise Damage("a key that is a large number")
            self._stack[-1][key] = value

    def find(self, module: Any, attribute: Any) -> None:
        if type(module) is not str or type(attribute) is not str:
            raise Damage("a function whose name is no text")
        if len(module) + len(attribute) > LONGEST_NAME:
            raise Damage("a function whose name is too long")
        name = f"{module}.{attribute}"
        known = name in _CALLS or (module in ("torch", "torch.storage") and attribute in STORAGES)
        if not known:
            raise ModelFileError(
                f"{self._name} holds code or objects of another program ({name[:80]}). It is not opened, "
                "since opening it could run that code. A model file has weights and plain values only."
            )
        self.push(_Call(attribute if attribute in STORAGES else name))

    def load_storage(self) -> None:
        (place,) = self.last(1)
        if type(place) is not tuple or len(place) != 5:
            raise Damage("a tensor without data")
        kind, storage, key, _, elements = place
        if not isinstance(storage, _Call) or storage.name not in STORAGES:
            raise Damage("a tensor without data")
        dtype, width = STORAGES[storage.name]
        if kind != "storage" or type(key) is not str or type(elements) is not int or key not in self._sizes:
            raise Damage("a tensor without data")
        if not 0 <= elements * width <= self._sizes[key]:
            raise ModelFileError(
                f"{self._name} claims {elements} values where it holds {self._sizes[key] // width}."
            )
        self.push(_Storage(dtype, key, elements))

    def reduce(self) -> None:
        call, arguments = self.last(2)
        if not isinstance(call, _Call) or call.name not in _CALLS or type(arguments) is not tuple:
            raise Damage("a call of what is no function")
        self.push(_CALLS[call.name](arguments))

    def build(self) -> None:
        """OrderedDict's attributes (torch's version marks); nothing in them is needed."""
        target, state = self.last(2)
        if type(target) is not dict or type(state) is not dict:
            raise Damage("an object with attributes")
        self.push(target)


def _steps(text: bytes) -> Iterator[tuple[Any, Any]]:
    """Opcodes with their arguments."""
    try:
        for opcode, argument, _ in pickletools.genops(text):
            yield opcode, argument
    except ValueError as error:  # all that pickletools raises
        raise Damage(str(error)[:200]) from error


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """An empty one; Python 3 writes the items after it. One list given to many would multiply."""
    if arguments:
        raise Damage("an ordered dictionary of Python 2")
    return {}


def _tensor(arguments: tuple[Any, ...]) -> TensorFacts:
    """What torch._utils._rebuild_tensor_v2 would make; a shape larger than its data is refused."""
    if len(arguments) == 7 and arguments[6] in (None, {}):  # attributes
        arguments = arguments[:6]
    if len(arguments) != 6 or type(arguments[4]) is not bool or type(arguments[5]) is not dict:
        raise Damage("a tensor of unknown form")
    storage, offset, shape, stride = arguments[:4]
    if not isinstance(storage, _Storage) or type(shape) is not tuple or type(stride) is not tuple:
        raise Damage("a tensor of unknown form")
    if len(shape) != len(stride) or len(shape) > MOST_DIMENSIONS:
        raise Damage(f"a tensor of {len(shape)} dimensions")
    numbers = (offset, *shape, *stride)
    if any(type(number) is not int for number in numbers):
        raise Damage("a tensor of a shape that is no numbers")
    if any(not 0 <= number < LONGEST_SIDE for number in numbers):
        raise Damage(f"a tensor of shape {shape}")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if prod(shape) > storage.elements or (prod(shape) and last >= storage.elements):
        raise Damage(f"a tensor of shape {shape} with only {storage.elements} values")
    if not prod(shape) and max(shape) > 1 << 20:
        raise Damage(f"an empty tensor of shape {shape}")
    return TensorFacts(storage.dtype, shape, storage.key, offset)


def _size(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(arguments) != 1 or type(arguments[0]) is not tuple or len(arguments[0]) > MOST_DIMENSIONS:
        raise Damage("a shape of unknown form")
    return arguments[0]


def _parameter(arguments: tuple[Any, ...]) -> TensorFacts:
    forms = (TensorFacts, bool, dict)
    if len(arguments) != 3 or not all(isinstance(a, f) for a, f in zip(arguments, forms, strict=True)):
        raise Damage("a parameter that is no tensor")
    return arguments[0]


_CALLS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
}

_VALUES = "BINUNICODE SHORT_BINUNICODE BININT BININT1 BININT2 LONG1 BINFLOAT"
_STEPS: dict[str, Callable[[PickleReader, Any], None]] = {
    "PROTO": PickleReader.protocol,
    "FRAME": lambda reader, argument: None,
    **dict.fromkeys(_VALUES.split(), lambda reader, argument: reader.push(argument)),
    "NONE": lambda reader, argument: reader.push(None),
    "NEWTRUE": lambda reader, argument: reader.push(True),
    "NEWFALSE": lambda reader, argument: reader.push(False),
    "EMPTY_DICT": lambda reader, argument: reader.push({}),
    "EMPTY_LIST": lambda reader, argument: reader.push([]),
    "EMPTY_TUPLE": lambda reader, argument: reader.push(()),
    "MARK": lambda reader, argument: reader.mark(),
    "TUPLE": lambda reader, argument: reader.push(tuple(reader.since_mark())),
    "TUPLE1": lambda reader, argument: reader.push(tuple(reader.last(1))),
    "TUPLE2": lambda reader, argument: reader.push(tuple(reader.last(2))),
    "TUPLE3": lambda reader, argument: reader.push(tuple(reader.last(3))),
    "APPEND": lambda reader, argument: reader.append(reader.last(1)),
    "APPENDS": lambda reader, argument: reader.append(reader.since_mark()),
    "SETITEM": lambda reader, argument: reader.set_items(reader.last(2)),
    "SETITEMS": lambda reader, argument: reader.set_items(reader.since_mark()),
    "BINPUT": PickleReader.put,
    "LONG_BINPUT": PickleReader.put,
    "MEMOIZE": PickleReader.put,
    "BINGET": PickleReader.get,
    "LONG_BINGET": PickleReader.get,
    "GLOBAL": lambda reader, argument: reader.find(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda reader, argument: reader.find(*reader.last(2)),
    "BINPERSID": lambda reader, argument: reader.load_storage(),
    "REDUCE": lambda reader, argument: reader.reduce(),
    "BUILD": lambda reader, argument: reader.build(),
}
