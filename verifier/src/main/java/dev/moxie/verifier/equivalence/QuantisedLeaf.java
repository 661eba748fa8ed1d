package dev.moxie.verifier.equivalence;

import dev.moxie.converter.plan.Transform;
import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.encoding.Quantised;
import dev.moxie.format.encoding.Quantiser;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.function.LongToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Holds a matrix of numbers and scales to the elements that it was made of: each number is the
 * nearest that there is for its block's scale, and the scale is the one that the largest element
 * calls for, or one near it under which the block's squared error is no larger. Computed in double
 * precision, sharing nothing with the converter's arithmetic.
 */
final class QuantisedLeaf {
  /** Of a step: the quotient of element and scale was rounded to float32, and is at most 128. */
  private static final double SLACK = 0x1p-16;

  /** A sum of errors may be a little larger than another because it was rounded. */
  private static final double ROUNDED = 1 + 0x1p-20;

  private final Quantised encoding;
  private final Quantiser.Method method;
  private final LongToDoubleFunction elements;
  private final long columns;
  private final long blocksPerRow;
  private final int block;
  private final double[] numbers;

  /**
   * A leaf.
   *
   * @param elements of the source, row-major, as float32
   */
  QuantisedLeaf(Transform.Quantise transform, LongToDoubleFunction elements) {
    this.encoding = transform.by().quantised();
    this.method = transform.by().method();
    this.elements = elements;
    this.columns = transform.columns();
    this.block = (int) Math.min(columns, encoding.blockColumns());
    this.blocksPerRow = Math.ceilDiv(columns, block);
    this.numbers = numbers(encoding);
  }

  /** Every number that the encoding has, in order. */
  private static double[] numbers(Quantised encoding) {
    byte[] bytes = new byte[256];
    for (int code = 0; code < bytes.length; code++) {
      bytes[code] = (byte) code;
    }
    MemorySegment all = MemorySegment.ofArray(bytes);
    return IntStream.range(0, bytes.length * encoding.perValue())
        .mapToDouble(i -> encoding.number(all, i))
        .map(number -> number + 0.0)
        .distinct()
        .sorted()
        .toArray();
  }

  /**
   * Says which stored numbers are not the nearest.
   *
   * @param scales of the blocks, row-major
   */
  Optional<String> flawOfValues(MemorySegment values, float[] scales) {
    long rows = values.byteSize() * encoding.perValue() / columns;
    long flaws = 0;
    String first = "";
    for (long row = 0; row < rows; row++) {
      for (long column = 0; column < columns; column++) {
        double scale = scales[Math.toIntExact(row * blocksPerRow + column / block)];
        double element = elements.applyAsDouble(row * columns + column);
        double number = encoding.number(values, row * columns + column);
        double nearest = nearest(element, scale);
        double least = Math.abs(element - nearest * scale);
        if (!(Math.abs(element - number * scale) <= least + SLACK * Math.abs(scale))) {
          if (flaws == 0) {
            first =
                "row %d, column %d, where %.7g is %s times %.7g, and %s times that is nearest"
                    .formatted(row, column, element, number, scale, nearest);
          }
          flaws++;
        }
      }
    }
    return said(flaws, "numbers", first);
  }

  /** Says which scales are not those that the elements call for. */
  Optional<String> flawOfScales(float[] scales) {
    long flaws = 0;
    String first = "";
    for (int i = 0; i < scales.length; i++) {
      long row = i / blocksPerRow;
      long column = i % blocksPerRow * block;
      double[] of = new double[(int) Math.min(block, columns - column)];
      Arrays.setAll(of, c -> elements.applyAsDouble(row * columns + column + c));
      double usual = usual(Arrays.stream(of).map(Math::abs).max().orElse(0));
      double found = scales[i];
      boolean right =
          switch (method) {
            case NEAREST -> found == usual;
            case SEARCH ->
                Math.abs(found) >= usual / 2
                    && Math.abs(found) <= usual * 2
                    && error(of, found) <= error(of, usual) * ROUNDED;
          };
      if (!right) {
        if (flaws == 0) {
          first =
              "row %d, column %d, where it is %.7g and the usual one %.7g"
                  .formatted(row, column, found, usual);
        }
        flaws++;
      }
    }
    return said(flaws, "scales", first);
  }

  private static Optional<String> said(long flaws, String what, String first) {
    return flaws == 0
        ? Optional.empty()
        : Optional.of(
            String.format(Locale.ROOT, "%,d other %s, the first in %s", flaws, what, first));
  }

  /** The scale under which the largest magnitude of a block is the largest number, or near it. */
  private double usual(double largest) {
    return switch (encoding) {
      case Int8Channel channels -> (float) (largest / 127);
      case Int4Block blocks -> (float) (largest / 7);
      // 2² is the power of two of 6, and 2⁻¹²⁷ the smallest that a scale can be.
      case Mxfp4 blocks -> Math.scalb(1.0, Math.max(-127, Math.getExponent(largest) - 2));
    };
  }

  private double error(double[] of, double scale) {
    double sum = 0;
    for (double element : of) {
      double error = element - nearest(element, scale) * scale;
      sum += error * error;
    }
    return sum;
  }

  /** The number whose product with the scale is nearest to an element. */
  private double nearest(double element, double scale) {
    if (scale == 0) {
      return 0;
    }
    double quotient = element / scale;
    int place = Arrays.binarySearch(numbers, quotient);
    if (place >= 0) {
      return numbers[place];
    }
    int above = -place - 1;
    if (above == 0 || above == numbers.length) {
      return numbers[above == 0 ? 0 : numbers.length - 1];
    }
    double low = numbers[above - 1];
    double high = numbers[above];
    return quotient - low <= high - quotient ? low : high;
  }
}
