package dev.moxie.format.pickle;

import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What may stand on the stack of a pickle of arrays. Nothing of it is a Python object, and nothing
 * changes: what a pickle remembers before it is built stays as it was.
 */
sealed interface PickleValue {
  /** A string. */
  record Text(String text) implements PickleValue {}

  /** A whole number. */
  record Whole(long number) implements PickleValue {}

  /** True or false. */
  record Flag(boolean flag) implements PickleValue {}

  /** Values without anything to them. */
  enum Sign implements PickleValue {
    NONE,
    MARK,
    /** The bytes {@code b"b"}, a dtype that NumPy names while it makes an array. */
    B,
    EMPTY_DICT,
    EMPTY_ARRAY,
    EMPTY_OBJECT
  }

  /** The names that a pickle may import. */
  enum Global implements PickleValue {
    RECONSTRUCT,
    NDARRAY,
    DTYPE,
    BFLOAT16,
    QUANTISED;

    /** The name, if it is one of them; NumPy 2 moved the first. */
    static @Nullable Global of(String module, String name) {
      return switch (module + " " + name) {
        case "numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct" ->
            RECONSTRUCT;
        case "numpy ndarray" -> NDARRAY;
        case "numpy dtype" -> DTYPE;
        case "ml_dtypes bfloat16" -> BFLOAT16;
        case "__main__ QuantizedWeight8bit" -> QUANTISED;
        default -> null;
      };
    }
  }

  /** Some values. */
  record Tuple(List<PickleValue> values) implements PickleValue {
    static final Tuple EMPTY = new Tuple(List.of());

    public Tuple {
      values = List.copyOf(values);
    }
  }

  /** The entries of a dictionary of two, in their order. */
  record Pair(PickleValue key, PickleValue value, PickleValue otherKey, PickleValue other)
      implements PickleValue {}

  /**
   * An element type.
   *
   * @param ordered whether the order of its bytes is known
   */
  record Element(Dtype dtype, boolean ordered) implements PickleValue {}

  /**
   * Bytes of an array, where they lie.
   *
   * @param before how many bytes that are no array's come before them
   * @param offset of the first, from the start of the file
   */
  record Data(int before, long offset, long bytes) implements PickleValue {}

  /** An array. */
  record Array(Dtype dtype, Shape shape, Data data) implements PickleValue {}

  /** Numbers and their scales. */
  record Quantised(Array weight, Array scales) implements PickleValue {}
}
