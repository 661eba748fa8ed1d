package dev.moxie.format.encoding;

import dev.moxie.format.safetensors.Dtype;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntFunction;

/** Matrices as releases have them whose scales are each of one row, or of a group within one. */
public sealed interface RowScaled extends BlockScaled permits Fp8Channel, Int4Group, Int8Group {
  /** What releases write scales in: the dtype that the model had. */
  Set<Dtype> SCALES = Collections.unmodifiableSet(EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F16));

  /** Columns of a group at most: as many as an id has digits for. */
  int MOST_COLUMNS = 9999;

  /** Refuses a group that no id names. */
  static void requireGroup(int columns) {
    if (columns < 1 || columns > MOST_COLUMNS) {
      throw new IllegalArgumentException(
          "groups of %d; expected 1 to %d".formatted(columns, MOST_COLUMNS));
    }
  }

  /** The encoding of an id that ends in the columns of a group, if this is one. */
  static <E extends RowScaled> Optional<E> ofGroups(String begin, String id, IntFunction<E> of) {
    return id.startsWith(begin) && id.substring(begin.length()).matches("[1-9][0-9]{0,3}")
        ? Optional.of(of.apply(Integer.parseInt(id.substring(begin.length()))))
        : Optional.empty();
  }

  @Override
  default Set<Dtype> scaleDtypes() {
    return SCALES;
  }

  @Override
  default Dtype usualScales() {
    return Dtype.BF16;
  }

  @Override
  default int blockRows() {
    return 1;
  }
}
