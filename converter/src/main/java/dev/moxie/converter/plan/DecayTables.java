package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.DecayTable;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Set;

/** Holds tables of decays to what they follow from. */
final class DecayTables {
  private static final int CHUNK = 1 << 20;
  private static final Set<Dtype> DTYPES = EnumSet.of(Dtype.F32, Dtype.BF16, Dtype.F16);

  /** Half the smallest step of the coarsest of these. */
  private static final double LEAST = 0x1p-25;

  /** Roundings of a rate, an exponent and its exponential, at most. */
  private static final int ROUNDINGS = 4;

  private DecayTables() {}

  /**
   * Refuses a table that says something else.
   *
   * @param where it lies, in words
   * @param rates of the heads of its layer
   */
  static void require(
      Path folder, String where, SourceTensor tensor, DecayTable table, double[] rates) {
    long block = table.block(tensor.shape());
    Shape shape = table.shape(rates.length, block);
    if (!DTYPES.contains(tensor.dtype()) || !tensor.shape().equals(shape)) {
      throw refusal(
          where,
          "one of " + DTYPES + " " + shape + ", which follow from config.json",
          tensor.dtype() + " " + tensor.shape());
    }
    long ofHead = shape.elements() / rates.length;
    double rounding = ROUNDINGS * roundoff(tensor.dtype());
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(folder.resolve(tensor.file()))) {
      long at = 0;
      for (long byteAt = 0; byteAt < tensor.bytes(); byteAt += CHUNK) {
        int size = (int) Math.min(CHUNK, tensor.bytes() - byteAt);
        SameBytes.read(channel, chunk.clear().limit(size), tensor.offset() + byteAt);
        Elements elements =
            Elements.plain(tensor.name(), MemorySegment.ofBuffer(chunk), tensor.dtype());
        for (long i = 0; i < size * 8L / tensor.dtype().bits(); i++, at++) {
          double rate = rates[Math.toIntExact(at / ofHead)];
          double expected = table.value(rate, block, at % ofHead);
          double found = elements.get(i);
          double most = rounding * expected * (1 + rate * block) + LEAST;
          if (!(Math.abs(found - expected) <= most)) {
            throw refusal(
                where,
                "about %s at %d, which follows from config.json".formatted((float) expected, at),
                Double.toString(found));
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static double roundoff(Dtype dtype) {
    return switch (dtype) {
      case BF16 -> 0x1p-8;
      case F16 -> 0x1p-11;
      default -> 0x1p-24;
    };
  }

  private static UnsupportedException refusal(String where, String expected, String found) {
    return new UnsupportedException(
        where,
        expected,
        found,
        "the class has no other decays; correct config.json if it is of another model");
  }
}
