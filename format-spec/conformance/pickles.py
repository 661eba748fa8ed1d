"""Headers of source files that are pickles: SPEC.md, section 1. Nothing of a pickle is run.

What a file may hold is written down as what its opcodes leave on a stack: tuples, strings, numbers, and
for what Python would import, make or fill a tuple that begins with a word of this file's own.
"""

import math

LARGEST = 4096
GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): "RECONSTRUCT", ("numpy._core.multiarray", "_reconstruct"): "RECONSTRUCT",
    ("numpy", "ndarray"): "NDARRAY", ("numpy", "dtype"): "DTYPE", ("ml_dtypes", "bfloat16"): "BFLOAT16",
    ("__main__", "QuantizedWeight8bit"): "QUANTISED",
}
DTYPES = {"f4": ("F32", 4, "<", -1, 0), "i1": ("I8", 1, "|", -1, 0), ("global", "BFLOAT16"): ("BF16", 2, "<", 2, 0x70)}
MARK, EMPTY, MADE = ("mark",), ("dict",), ("made",)


class Refused(Exception):
    pass


def need(condition):
    if not condition:
        raise Refused


def is_pickle(header):
    return len(header) >= 8 and header[0] == 0x80 and header[2] == 0x95 and int.from_bytes(header[:8], "little") > 10**8


def tensors(name, header, file_bytes):
    """{name: (dtype, shape, [begin, end])} by a file without its arrays, or None."""
    try:
        arrays = Reader(header, file_bytes).arrays()
    except (Refused, IndexError, TypeError, ValueError):  # a value of another kind than is asked for
        return None
    found, begin = {}, 0
    for ending, (_, dtype, shape, (_, _, size)) in zip((".weight", ".scales"), arrays):
        found[name + ending] = dtype, shape, [begin, begin + size]
        begin += size
    return found


class Reader:
    def __init__(self, header, file_bytes):
        need(len(header) <= LARGEST)
        self.header, self.file_bytes = header, file_bytes
        self.read = self.position = self.frame_end = 0  # of the header, of the file, of the frame
        self.stack, self.memo, self.data = [], [], []

    def take(self, count):
        need(self.read + count <= len(self.header))
        taken = self.header[self.read : self.read + count]
        self.read, self.position = self.read + count, self.position + count
        return taken

    def number(self, count):
        return int.from_bytes(self.take(count), "little")

    def arrays(self):
        need(self.take(2) == b"\x80\x04")
        self.frame_end = self.position
        while (code := self.opcode()) != ord("."):
            inside = code not in (0x95, ord("B"), 0x8E)
            self.step(code)
            need(not inside or self.position <= self.frame_end)
        need(self.position == self.frame_end == self.file_bytes and self.read == len(self.header))
        (result,) = self.stack
        found = [result] if result[:2] == ("array", "F32") else [*result[1:]] if result[0] == "quantised" else []
        need(found and [array[3] for array in found] == self.data)
        return found

    def opcode(self):
        self.framed = self.position != self.frame_end
        code = self.take(1)[0]
        need(self.framed or code in (0x95, ord("B"), 0x8E))
        return code

    def step(self, code):
        push, numbers = self.stack.append, {ord("K"): 1, ord("M"): 2, ord("J"): 4}
        if code == 0x95:
            need(not self.framed)
            length = self.number(8)
            need(0 < length <= self.file_bytes - self.position)
            self.frame_end = self.position + length
        elif code == ord("("):
            push(MARK)
        elif code == 0x94:
            self.memo.append(self.stack[-1])
        elif code == ord("h"):
            push(self.memo[self.number(1)])
        elif code in (ord("N"), 0x88, 0x89):
            push({ord("N"): None, 0x88: True, 0x89: False}[code])
        elif code in numbers:
            value = self.number(numbers[code])
            push(("int", value - (1 << 32) if code == ord("J") and value >> 31 else value))
        elif code == 0x8C:
            push(self.take(self.number(1)).decode("latin-1"))
        elif code in (ord("C"), ord("B"), 0x8E):
            self.bytes(code, self.number({ord("C"): 1, ord("B"): 4, 0x8E: 8}[code]))
        elif code in (ord(")"), 0x85, 0x86, 0x87):
            self.tuple(code - 0x84 if code > 0x80 else 0)
        elif code == ord("t"):
            marks = [i for i, value in enumerate(self.stack) if value is MARK]
            values = self.stack[marks[-1] + 1 :]
            del self.stack[marks[-1] :]
            push(("tuple", *values))
        elif code == ord("}"):
            push(EMPTY)
        elif code == ord("u"):
            need(len(self.stack) > 5 and self.stack[-6] is EMPTY and self.stack[-5] is MARK)
            self.stack[-6:] = [("pair", *self.stack[-4:])]
        elif code == 0x93:
            module, name = self.pop(2)
            need(isinstance(module, str) and isinstance(name, str) and (module, name) in GLOBALS)
            push(("global", GLOBALS[module, name]))
        elif code == ord("R"):
            push(self.called(*self.pop(2)))
        elif code == 0x81:
            need(self.pop(2) == [("global", "QUANTISED"), ("tuple",)])
            push(("object",))
        else:
            need(code == ord("b"))
            push(self.built(*self.pop(2)))

    def pop(self, count):
        need(len(self.stack) >= count)
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def tuple(self, count):
        values = self.pop(count) if count else []
        need(MARK not in values)
        self.stack.append(("tuple", *values))

    def bytes(self, code, size):
        if not (self.stack[-1:] == [False] and len(self.stack) > 1 and self.stack[-2][:1] == ("type",)):
            need(code == ord("C") and size == 1 and self.take(1) == b"b")
            return self.stack.append("b: bytes")
        need(0 < size <= self.file_bytes - self.position)
        need(not self.framed or self.position + size <= self.frame_end)
        self.data.append(("data", self.position, size))
        self.stack.append(self.data[-1])
        self.position += size
        self.frame_end = self.frame_end if self.framed else self.position

    def called(self, function, arguments):
        if function == ("global", "RECONSTRUCT"):
            need(arguments == ("tuple", ("global", "NDARRAY"), ("tuple", ("int", 0)), "b: bytes"))
            return MADE
        need(function == ("global", "DTYPE") and len(arguments) == 4 and arguments[2:] == (False, True))
        need(any(arguments[1] == key for key in DTYPES))
        return "untyped", arguments[1]

    def built(self, value, state):
        if value[0] == "untyped":
            dtype, size, order, own, flags = DTYPES[value[1]]
            need(state[:8] == ("tuple", ("int", 3), order, None, None, None, ("int", own), ("int", own)))
            need(len(state) == 9 and state[8][0] == "int" and state[8][1] & ~flags == 0)
            return "type", dtype, size
        if value is MADE:
            need(len(state) == 6 and state[:2] == ("tuple", ("int", 1)) and state[4] is False)
            _, _, axes, kind, _, data = state
            need(kind[0] == "type" and data[0] == "data" and 1 < len(axes) <= 4)
            need(all(axis[:1] == ("int",) and axis[1] > 0 for axis in axes[1:]))
            shape = [axis[1] for axis in axes[1:]]
            need(math.prod(shape) * kind[2] == data[2])
            return "array", kind[1], shape, data
        need(value == ("object",) and state[0] == "pair")
        _, key, weight, other, scales = state
        need((key, other) == ("weight", "scales") and weight[:2] == ("array", "I8") and scales[:2] == ("array", "BF16"))
        return "quantised", weight, scales
