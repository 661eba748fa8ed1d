package dev.moxie.format.pickle;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.pickle.PickleValue.Array;
import dev.moxie.format.pickle.PickleValue.Data;
import dev.moxie.format.pickle.PickleValue.Element;
import dev.moxie.format.pickle.PickleValue.Flag;
import dev.moxie.format.pickle.PickleValue.Global;
import dev.moxie.format.pickle.PickleValue.Pair;
import dev.moxie.format.pickle.PickleValue.Quantised;
import dev.moxie.format.pickle.PickleValue.Sign;
import dev.moxie.format.pickle.PickleValue.Text;
import dev.moxie.format.pickle.PickleValue.Tuple;
import dev.moxie.format.pickle.PickleValue.Whole;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads pickles of protocol 4 that hold one NumPy array, or one object {@code
 * __main__.QuantizedWeight8bit} of two, as {@code pickle.dump} writes them and Grok-1 is released
 * (xAI, 2024, {@code checkpoint.py}). The machine has the opcodes that such a pickle uses, and of
 * each no more than it uses it for: five names, which import nothing and call nothing. All else is
 * refused, with opcode and offset. Bytes of arrays are passed over; all others together may be no
 * more than {@link #MOST_BYTES}, which bounds everything that is kept.
 */
final class PickleReader {
  /** Of a file without its arrays; those of the release have 151 to 323. */
  static final int MOST_BYTES = 4096;

  private static final int PROTOCOL = 4;
  private static final int MOST_AXES = 3;

  /**
   * How Python's values and elements of a dtype become each other, which differs between versions
   * of ml_dtypes (NumPy, {@code NPY_NEEDS_PYAPI}, {@code NPY_USE_GETITEM}, {@code
   * NPY_USE_SETITEM}).
   */
  private static final long OWN_FLAGS = 0x70;

  private static final String NO_PICKLE =
      "this is no array as Grok-1's release has them; do not load it with Python, which runs what a"
          + " pickle says";
  private static final String DAMAGED = "the file is damaged or cut short, fetch it again";

  private final String where;
  private final PickleSource source;
  private final long fileBytes;
  private final ByteArrayOutputStream kept = new ByteArrayOutputStream();
  private final List<PickleValue> stack = new ArrayList<>();
  private final List<PickleValue> memo = new ArrayList<>();

  /** Bytes of arrays, in the order of the file. */
  private final List<Data> data = new ArrayList<>();

  private long position;

  /** Where the frame ends that is read; that of none is where the next opcode is. */
  private long frameEnd;

  private long opcodeAt;
  private int opcode;

  /**
   * A reader of one pickle.
   *
   * @param where the file's name, for messages
   */
  PickleReader(String where, PickleSource source, long fileBytes) {
    this.where = where;
    this.source = source;
    this.fileBytes = fileBytes;
  }

  /** The bytes that are no array's. */
  byte[] kept() {
    return kept.toByteArray();
  }

  /**
   * Reads all of it.
   *
   * @return one array, or numbers and their scales
   */
  List<Array> read() throws IOException {
    next();
    requireOpcode(Opcode.PROTO);
    long protocol = number(1);
    if (protocol != PROTOCOL) {
      throw refused("protocol " + PROTOCOL, "protocol " + protocol);
    }
    frameEnd = position;
    while (true) {
      next();
      if (opcode == Opcode.STOP) {
        return result();
      }
      step();
    }
  }

  private void next() throws IOException {
    opcodeAt = position;
    boolean framed = position != frameEnd || position == 0;
    opcode = take();
    boolean outside = List.of(Opcode.FRAME, Opcode.BINBYTES, Opcode.BINBYTES8).contains(opcode);
    if (!framed && !outside) {
      throw refused("a frame around it", "none");
    }
  }

  private void step() throws IOException {
    switch (opcode) {
      case Opcode.FRAME -> frame();
      case Opcode.MARK -> stack.add(Sign.MARK);
      case Opcode.MEMOIZE -> {
        memo.add(pop());
        stack.add(memo.getLast());
      }
      case Opcode.BINGET -> remembered((int) number(1));
      case Opcode.NONE -> stack.add(Sign.NONE);
      case Opcode.NEWTRUE -> stack.add(new Flag(true));
      case Opcode.NEWFALSE -> stack.add(new Flag(false));
      case Opcode.BININT1 -> stack.add(new Whole(number(1)));
      case Opcode.BININT2 -> stack.add(new Whole(number(2)));
      case Opcode.BININT -> stack.add(new Whole((int) number(4)));
      case Opcode.SHORT_BINUNICODE -> stack.add(new Text(text((int) number(1))));
      case Opcode.SHORT_BINBYTES -> bytes(number(1));
      case Opcode.BINBYTES -> bytes(number(4));
      case Opcode.BINBYTES8 -> bytes(number(8));
      case Opcode.EMPTY_TUPLE -> stack.add(Tuple.EMPTY);
      case Opcode.TUPLE -> tuple(stack.size() - stack.lastIndexOf(Sign.MARK) - 1, true);
      case Opcode.TUPLE1 -> tuple(1, false);
      case Opcode.TUPLE2 -> tuple(2, false);
      case Opcode.TUPLE3 -> tuple(3, false);
      case Opcode.EMPTY_DICT -> stack.add(Sign.EMPTY_DICT);
      case Opcode.SETITEMS -> items();
      case Opcode.STACK_GLOBAL -> global();
      case Opcode.REDUCE -> reduce();
      case Opcode.NEWOBJ -> object();
      case Opcode.BUILD -> build();
      default -> throw refused("an opcode that pickles of arrays have", Opcode.name(opcode));
    }
  }

  private void frame() throws IOException {
    boolean within = opcodeAt != frameEnd;
    long length = number(8);
    if (within) {
      throw refused("opcodes of the frame that ends at " + frameEnd, "another frame");
    }
    if (length <= 0 || length > fileBytes - position) {
      throw corrupt(
          "a frame that ends inside the file of " + fileBytes + " bytes",
          "one of " + Long.toUnsignedString(length) + " bytes");
    }
    frameEnd = position + length;
  }

  private void remembered(int index) {
    if (index >= memo.size()) {
      throw refused("one of %d remembered values".formatted(memo.size()), "number " + index);
    }
    stack.add(memo.get(index));
  }

  private String text(int length) throws IOException {
    byte[] text = new byte[length];
    for (int i = 0; i < length; i++) {
      text[i] = (byte) take();
    }
    return new String(text, StandardCharsets.US_ASCII);
  }

  /** Those of an array, where its dtype and order of axes stand before them; else b"b". */
  private void bytes(long length) throws IOException {
    boolean ofArray =
        stack.size() > 1
            && stack.getLast().equals(new Flag(false))
            && stack.get(stack.size() - 2) instanceof Element type
            && type.ordered();
    if (!ofArray) {
      if (opcode != Opcode.SHORT_BINBYTES || length != 1 || take() != 'b') {
        throw refused("bytes of an array, or b\"b\" before one", "others");
      }
      stack.add(Sign.B);
      return;
    }
    if (length <= 0 || length > fileBytes - position) {
      throw corrupt(
          "bytes of an array that end inside the file of " + fileBytes + " bytes",
          Long.toUnsignedString(length) + " bytes from " + position + " on");
    }
    boolean framed = opcodeAt != frameEnd;
    if (framed && position + length > frameEnd) {
      throw corrupt(
          "bytes of an array within the frame that ends at " + frameEnd,
          length + " bytes from " + position + " on");
    }
    var own = new Data(kept.size(), position, length);
    data.add(own);
    stack.add(own);
    source.pass(length);
    position += length;
    frameEnd = framed ? frameEnd : position;
  }

  private void tuple(int count, boolean marked) {
    int first = stack.size() - count;
    if (first < 0 || (marked && (first == 0 || stack.get(first - 1) != Sign.MARK))) {
      throw refused("values to make a tuple of", "too few");
    }
    List<PickleValue> top = stack.subList(marked ? first - 1 : first, stack.size());
    List<PickleValue> values = List.copyOf(top.subList(top.size() - count, top.size()));
    if (values.contains(Sign.MARK)) {
      throw refused("values to make a tuple of", "a mark among them");
    }
    top.clear();
    stack.add(new Tuple(values));
  }

  private void items() {
    int count = stack.size();
    int first = count - 4;
    if (first < 2 || stack.get(first - 1) != Sign.MARK || stack.get(first - 2) != Sign.EMPTY_DICT) {
      throw refused("two entries for an empty dictionary", "others");
    }
    var pair =
        new Pair(
            stack.get(first), stack.get(first + 1), stack.get(first + 2), stack.get(first + 3));
    stack.subList(first - 2, count).clear();
    stack.add(pair);
  }

  private void global() {
    PickleValue name = pop();
    PickleValue module = pop();
    if (!(name instanceof Text ofName && module instanceof Text ofModule)) {
      throw refused("a name to import", "no strings");
    }
    Global known = Global.of(ofModule.text(), ofName.text());
    if (known == null) {
      throw refused(
          "a name of NumPy's arrays or __main__.QuantizedWeight8bit",
          "\"" + ofModule.text() + "." + ofName.text() + "\"");
    }
    stack.add(known);
  }

  /** An empty array, or an element type without an order of bytes. */
  private void reduce() {
    PickleValue arguments = pop();
    PickleValue callable = pop();
    var empty = new Tuple(List.of(Global.NDARRAY, new Tuple(List.of(new Whole(0))), Sign.B));
    if (callable == Global.RECONSTRUCT && arguments.equals(empty)) {
      stack.add(Sign.EMPTY_ARRAY);
    } else if (callable == Global.DTYPE && arguments instanceof Tuple tuple) {
      stack.add(new Element(dtype(tuple), false));
    } else {
      throw refused(
          "numpy's _reconstruct of an empty array, or a numpy.dtype",
          "a call of something else, or with other arguments");
    }
  }

  private Dtype dtype(Tuple arguments) {
    List<PickleValue> values = arguments.values();
    if (values.size() == 3
        && values.get(1).equals(new Flag(false))
        && values.get(2).equals(new Flag(true))) {
      PickleValue name = values.getFirst();
      if (name.equals(new Text("f4"))) {
        return Dtype.F32;
      }
      if (name.equals(new Text("i1"))) {
        return Dtype.I8;
      }
      if (name == Global.BFLOAT16) {
        return Dtype.BF16;
      }
    }
    throw refused("a dtype f4, i1 or ml_dtypes.bfloat16", "another");
  }

  private void object() {
    PickleValue arguments = pop();
    PickleValue type = pop();
    if (type != Global.QUANTISED || !arguments.equals(Tuple.EMPTY)) {
      throw refused("an object __main__.QuantizedWeight8bit", "another, or with arguments");
    }
    stack.add(Sign.EMPTY_OBJECT);
  }

  private void build() {
    PickleValue state = pop();
    PickleValue value = pop();
    if (value instanceof Element type && !type.ordered() && state instanceof Tuple tuple) {
      requireOrder(type.dtype(), tuple.values());
      stack.add(new Element(type.dtype(), true));
    } else if (value == Sign.EMPTY_ARRAY && state instanceof Tuple tuple) {
      stack.add(array(tuple.values()));
    } else if (value == Sign.EMPTY_OBJECT && state instanceof Pair pair) {
      stack.add(quantised(pair));
    } else {
      throw refused("a dtype, an array or an object that is empty, and its state", "others");
    }
  }

  /** The order of bytes, no fields, and the sizes and flags that such a dtype has. */
  private void requireOrder(Dtype dtype, List<PickleValue> state) {
    boolean own = dtype == Dtype.BF16;
    var size = new Whole(own ? 2 : -1);
    var order = new Text(dtype == Dtype.I8 ? "|" : "<");
    List<PickleValue> expected =
        List.of(new Whole(3), order, Sign.NONE, Sign.NONE, Sign.NONE, size, size);
    if (state.size() != 8
        || !state.subList(0, 7).equals(expected)
        || !(state.get(7) instanceof Whole flags)
        || (flags.number() & ~(own ? OWN_FLAGS : 0)) != 0) {
      throw refused(
          "a plain dtype of little-endian bytes", "another order of bytes, fields or other sizes");
    }
  }

  private Array array(List<PickleValue> state) {
    if (state.size() == 5
        && state.getFirst().equals(new Whole(1))
        && state.get(1) instanceof Tuple axes
        && state.get(2) instanceof Element type
        && type.ordered()
        && state.get(3).equals(new Flag(false))
        && state.get(4) instanceof Data own) {
      Shape shape = shape(axes.values());
      requireBytes(type.dtype(), shape, own.bytes());
      return new Array(type.dtype(), shape, own);
    }
    throw refused("the state of an array in C's order of axes", "another");
  }

  private Shape shape(List<PickleValue> axes) {
    List<Long> dims = new ArrayList<>();
    for (PickleValue axis : axes) {
      if (axis instanceof Whole n && n.number() > 0) {
        dims.add(n.number());
      }
    }
    if (dims.isEmpty() || dims.size() != axes.size() || dims.size() > MOST_AXES) {
      throw refused("an array of 1 to " + MOST_AXES + " axes, none of them empty", "another");
    }
    return new Shape(dims);
  }

  private void requireBytes(Dtype dtype, Shape shape, long bytes) {
    long expected;
    try {
      expected = shape.bytes(dtype);
    } catch (ArithmeticException e) {
      throw corrupt("a size in bytes below 2^63", dtype + " " + shape);
    }
    if (bytes != expected) {
      throw corrupt(expected + " bytes for " + dtype + " " + shape, bytes + " bytes");
    }
  }

  private Quantised quantised(Pair pair) {
    if (pair.key().equals(new Text("weight"))
        && pair.otherKey().equals(new Text("scales"))
        && pair.value() instanceof Array weight
        && pair.other() instanceof Array scales
        && weight.dtype() == Dtype.I8
        && scales.dtype() == Dtype.BF16) {
      return new Quantised(weight, scales);
    }
    throw refused("weight, an array of int8, and scales, one of bfloat16", "others");
  }

  /** What is left on the stack: all that was read, each array once. */
  private List<Array> result() {
    List<Array> arrays =
        stack.size() != 1
            ? List.of()
            : switch (stack.getFirst()) {
              case Array one when one.dtype() == Dtype.F32 -> List.of(one);
              case Quantised two -> List.of(two.weight(), two.scales());
              default -> List.of();
            };
    if (arrays.isEmpty()) {
      throw refused(
          "one array of float32, or int8 weights and their scales", "something else, or more");
    }
    if (!arrays.stream().map(Array::data).toList().equals(data)) {
      throw refused("bytes for each array of its own, in their order", "arrays that share some");
    }
    if (position != frameEnd || position != fileBytes) {
      throw corrupt(
          "the end of frame and file",
          position != fileBytes
              ? "%d bytes more".formatted(fileBytes - position)
              : "a frame that ends at " + frameEnd);
    }
    return arrays;
  }

  private PickleValue pop() {
    if (stack.isEmpty()) {
      throw refused("a value for it", "none");
    }
    return stack.removeLast();
  }

  /** A little-endian number of so many bytes; eight may be negative. */
  private long number(int bytes) throws IOException {
    long number = 0;
    for (int i = 0; i < bytes; i++) {
      number |= (long) take() << (Byte.SIZE * i);
    }
    return number;
  }

  private int take() throws IOException {
    if (kept.size() == MOST_BYTES) {
      throw refused(
          "no more than " + MOST_BYTES + " bytes beside those of arrays", "more than that");
    }
    if (position != opcodeAt && opcodeAt < frameEnd && position == frameEnd) {
      throw corrupt("an opcode within the frame that ends at " + frameEnd, "one that goes on");
    }
    int next = position < fileBytes ? source.next() : -1;
    if (next < 0) {
      throw new CorruptException(
          where + ", offset " + position, "more of the pickle", "the end of the file", DAMAGED);
    }
    kept.write(next);
    position++;
    return next;
  }

  private void requireOpcode(int expected) {
    if (opcode != expected) {
      throw refused("opcode " + Opcode.name(expected), Opcode.name(opcode));
    }
  }

  private String place() {
    return "%s, offset %d, opcode %s".formatted(where, opcodeAt, Opcode.name(opcode));
  }

  private CorruptException refused(String expected, String found) {
    return new CorruptException(place(), expected, found, NO_PICKLE);
  }

  private CorruptException corrupt(String expected, String found) {
    return new CorruptException(place(), expected, found, DAMAGED);
  }
}
