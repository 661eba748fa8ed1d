package dev.moxie.format.pickle;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes pickles as CPython's {@code pickle.dump} of protocol 4 does: opcodes in frames, bytes of
 * 64 KiB and more outside them, everything remembered, what comes again fetched. Bytes of arrays
 * may be left out, for files that no disk here could hold.
 */
public final class PickleBytes {
  static final List<Object> F4 = List.of("f4");
  static final List<Object> I1 = List.of("i1");
  static final List<Object> BF16 = List.of("bfloat16");

  private static final int LARGE = 1 << 16;

  private final ByteArrayOutputStream file = new ByteArrayOutputStream();
  private final ByteArrayOutputStream frame = new ByteArrayOutputStream();
  private final Map<Object, Integer> memo = new HashMap<>();
  private final String core;
  private final boolean arrays;

  /** Of the file, bytes that were left out among them. */
  private long bytes;

  private long leftOut;
  private int remembered;
  private int lastData;

  /**
   * An empty pickle.
   *
   * @param core the package of NumPy's internals
   * @param arrays whether their bytes are written
   */
  PickleBytes(String core, boolean arrays) {
    this.core = core;
    this.arrays = arrays;
    raw(0x80, 4);
  }

  /** A file of one array. */
  public static PickleBytes plain(boolean arrays, int... shape) {
    var pickle = new PickleBytes("numpy.core", arrays);
    pickle.array(F4, 4, shape);
    return pickle.end();
  }

  /** A file of numbers and their scales. */
  public static PickleBytes quantised(boolean arrays, int[] weight, int[] scales) {
    var pickle = new PickleBytes("numpy.core", arrays);
    pickle.object("__main__", "QuantizedWeight8bit");
    pickle.key("weight").array(I1, 1, weight);
    pickle.key("scales").array(BF16, 2, scales);
    return pickle.op('u').op('b').end();
  }

  /** What was written. */
  public byte[] toBytes() {
    return file.toByteArray();
  }

  /** Bytes of the file if none were left out. */
  public long fileBytes() {
    return bytes;
  }

  private void raw(int... values) {
    for (int value : values) {
      file.write(value);
      bytes++;
    }
  }

  PickleBytes op(int... values) {
    for (int value : values) {
      frame.write(value);
    }
    return this;
  }

  PickleBytes op(char code) {
    return op((int) code);
  }

  /** Remembers what is on top; by this number. */
  int memoize() {
    op(0x94);
    return remembered++;
  }

  PickleBytes text(String text) {
    Integer known = memo.get(text);
    if (known != null) {
      return op('h', known);
    }
    byte[] ascii = text.getBytes(StandardCharsets.US_ASCII);
    op(0x8c, ascii.length);
    frame.writeBytes(ascii);
    memo.put(text, remembered);
    memoize();
    return this;
  }

  PickleBytes global(String module, String name) {
    Integer known = memo.get(List.of(module, name));
    if (known != null) {
      return op('h', known);
    }
    text(module).text(name).op(0x93);
    memo.put(List.of(module, name), remembered);
    memoize();
    return this;
  }

  PickleBytes number(int n) {
    if (n >= 0 && n < 256) {
      return op('K', n);
    }
    if (n >= 0 && n < 65536) {
      return op('M', n & 255, n >> 8);
    }
    return op('J', n & 255, n >> 8 & 255, n >> 16 & 255, n >>> 24);
  }

  private void tuple(int count) {
    op(count == 0 ? ')' : count > 3 ? 't' : 0x84 + count);
    if (count > 0) {
      memoize();
    }
  }

  /** An object without arguments, and the mark of its two entries. */
  void object(String module, String name) {
    global(module, name).op(')', 0x81);
    memoize();
    op('}');
    memoize();
    op('(');
  }

  PickleBytes key(String key) {
    return text(key);
  }

  /** An array of zeros and ones in turn. */
  PickleBytes array(List<Object> dtype, int size, int... shape) {
    return array(dtype, size, false, shape);
  }

  /** An array of the bytes that the last one has. */
  PickleBytes arrayOfTheSameBytes(List<Object> dtype, int size, int... shape) {
    return array(dtype, size, true, shape);
  }

  private PickleBytes array(List<Object> dtype, int size, boolean same, int... shape) {
    global(core + ".multiarray", "_reconstruct").global("numpy", "ndarray").number(0);
    tuple(1);
    Integer known = memo.get("b: bytes");
    if (known == null) {
      op('C', 1, 'b');
      memo.put("b: bytes", remembered);
      memoize();
    } else {
      op('h', known);
    }
    tuple(3);
    op('R');
    memoize();
    op('(').number(1);
    long count = size;
    for (int dim : shape) {
      number(dim);
      count *= dim;
    }
    tuple(shape.length);
    dtype(dtype);
    op(0x89);
    if (same) {
      op('h', lastData);
    } else {
      data(count);
    }
    tuple(5);
    return op('b');
  }

  private void dtype(List<Object> dtype) {
    global("numpy", "dtype");
    String name = (String) dtype.getFirst();
    boolean bf16 = dtype.equals(BF16);
    if (bf16) {
      global("ml_dtypes", name);
    } else {
      text(name);
    }
    op(0x89, 0x88);
    tuple(3);
    op('R');
    memoize();
    op('(').number(3).text(dtype.equals(I1) ? "|" : "<").op('N', 'N', 'N');
    int own = bf16 ? 2 : -1;
    number(own).number(own).number(bf16 ? 64 : 0);
    tuple(8);
    op('b');
  }

  /** Bytes of an array, which are remembered as everything is. */
  private void data(long count) {
    boolean large = count >= LARGE;
    if (large) {
      flush();
    }
    int[] head =
        count < 256
            ? new int[] {'C', (int) count}
            : new int[] {
              'B',
              (int) count & 255,
              (int) (count >> 8) & 255,
              (int) (count >> 16) & 255,
              (int) (count >> 24) & 255
            };
    if (large) {
      raw(head);
    } else {
      op(head);
    }
    for (long i = 0; arrays && i < count; i++) {
      (large ? file : frame).write((int) (i & 1));
    }
    if (large) {
      bytes += count;
    } else {
      leftOut += arrays ? 0 : count;
    }
    lastData = memoize();
  }

  /** Ends a frame. */
  void flush() {
    if (frame.size() > 0) {
      long length = frame.size() + leftOut;
      raw(0x95);
      for (int i = 0; i < 8; i++) {
        raw((int) (length >> (8 * i)) & 255);
      }
      file.writeBytes(frame.toByteArray());
      bytes += length;
      frame.reset();
      leftOut = 0;
    }
  }

  PickleBytes end() {
    op('.');
    flush();
    return this;
  }
}
