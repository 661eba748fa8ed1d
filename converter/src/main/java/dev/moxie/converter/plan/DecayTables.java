package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.DecayTable;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/** Holds tables of decays to what they follow from. */
final class DecayTables {
  private static final int CHUNK = 1 << 20;

  /** Of a rate, or of an exponent, as functions in float32 round them. */
  private static final double ROUNDING = 0x1p-20;

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
    if (tensor.dtype() != Dtype.F32 || !tensor.shape().equals(shape)) {
      throw refusal(
          where,
          Dtype.F32 + " " + shape + ", which follow from config.json",
          tensor.dtype() + " " + tensor.shape());
    }
    long ofHead = shape.elements() / rates.length;
    ByteBuffer chunk = ByteBuffer.allocate(CHUNK).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(folder.resolve(tensor.file()))) {
      long at = 0;
      for (long byteAt = 0; byteAt < tensor.bytes(); byteAt += CHUNK) {
        int size = (int) Math.min(CHUNK, tensor.bytes() - byteAt);
        SameBytes.read(channel, chunk.clear().limit(size), tensor.offset() + byteAt);
        for (; chunk.hasRemaining(); at++) {
          double rate = rates[Math.toIntExact(at / ofHead)];
          double expected = table.value(rate, block, at % ofHead);
          float found = chunk.getFloat();
          double most = ROUNDING * expected * (1 + rate * block) + Float.MIN_NORMAL;
          if (!(Math.abs(found - expected) <= most)) {
            throw refusal(
                where,
                "%s at %d, which follows from config.json".formatted((float) expected, at),
                Float.toString(found));
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static UnsupportedException refusal(String where, String expected, String found) {
    return new UnsupportedException(
        where,
        expected,
        found,
        "no release has other decays; correct config.json if it is of another model");
  }
}
