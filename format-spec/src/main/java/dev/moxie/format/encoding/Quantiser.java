package dev.moxie.format.encoding;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * Quantises rows of one length. What a row becomes depends on nothing else, and on no order: the
 * same row gives the same bytes everywhere.
 */
public final class Quantiser {
  /** How the scale of a block is chosen. */
  public enum Method {
    /** So that the element of largest magnitude is the largest number, or near it. */
    @JsonProperty("nearest")
    NEAREST,
    /** Of a few near that one, the scale with the smallest sum of squared errors. */
    @JsonProperty("search")
    SEARCH
  }

  private final Quantised encoding;
  private final Method method;
  private final int block;
  private final float[] row;
  private final float[] scales;
  private final float[] numbers;

  /** For rows of so many columns, which the encoding can hold. */
  public Quantiser(Quantised encoding, Method method, int columns) {
    this.encoding = encoding;
    this.method = method;
    this.block = Math.min(columns, encoding.blockColumns());
    this.row = new float[columns];
    this.scales = new float[Math.ceilDiv(columns, block)];
    this.numbers = new float[columns];
  }

  /** The elements of a row, to be written before it is quantised. */
  public float[] row() {
    return row;
  }

  /** The first column without a finite number, which no block can hold; −1 if there is none. */
  public int notFinite() {
    for (int c = 0; c < row.length; c++) {
      if (!Float.isFinite(row[c])) {
        return c;
      }
    }
    return -1;
  }

  /** Bytes of a row's stored numbers. */
  public int valueBytes() {
    return row.length * encoding.dtype().bits() / Byte.SIZE / encoding.perValue();
  }

  /** Bytes of a row's stored scales. */
  public int scaleBytes() {
    return scales.length * encoding.writtenScales().bits() / Byte.SIZE;
  }

  /** Appends the row's numbers. */
  public void values(ByteBuffer out) {
    choose();
    for (int b = 0; b < scales.length; b++) {
      int from = b * block;
      int to = end(b);
      encoding.round(row, from, to, scales[b], numbers);
      for (int c = from; c < to; c += encoding.perValue()) {
        int code = encoding.code(numbers[c]);
        out.put(
            (byte) (encoding.perValue() == 1 ? code : code | encoding.code(numbers[c + 1]) << 4));
      }
    }
  }

  /** Appends the row's scales; the buffer is little-endian. */
  public void scales(ByteBuffer out) {
    choose();
    for (float scale : scales) {
      int stored = encoding.storedScale(scale);
      if (encoding.writtenScales().bits() == Byte.SIZE) {
        out.put((byte) stored);
      } else {
        out.putInt(stored);
      }
    }
  }

  private int end(int b) {
    return Math.min(row.length, (b + 1) * block);
  }

  private void choose() {
    for (int b = 0; b < scales.length; b++) {
      scales[b] = scale(b * block, end(b));
    }
  }

  private float scale(int from, int to) {
    float extreme = extreme(from, to);
    float best = encoding.scale(extreme, 0);
    if (method == Method.SEARCH) {
      double least = error(from, to, best);
      for (int i = 1; i < encoding.candidates(); i++) {
        float scale = encoding.scale(extreme, i);
        double error = error(from, to, scale);
        if (error < least) {
          least = error;
          best = scale;
        }
      }
    }
    return best;
  }

  private float extreme(int from, int to) {
    float largest = 0;
    for (int c = from; c < to; c++) {
      largest = Math.max(largest, Math.abs(row[c]));
    }
    for (int c = from; c < to; c++) {
      if (row[c] == -largest) {
        return -largest;
      }
      if (row[c] == largest) {
        break;
      }
    }
    return largest;
  }

  /** The sum of squared errors, in four parts, so that one addition need not wait for the last. */
  private double error(int from, int to, float scale) {
    encoding.round(row, from, to, scale, numbers);
    double[] sums = new double[4];
    for (int c = from; c < to; c++) {
      double error = row[c] - (double) numbers[c] * scale;
      sums[c & 3] += error * error;
    }
    return Arrays.stream(sums).sum();
  }
}
