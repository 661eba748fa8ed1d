package dev.moxie.format.pickle;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.file.FileNames;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.format.safetensors.WeightHeader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * A pickle of one NumPy array, or of int8 numbers and their scales, without the bytes of arrays: as
 * each file of Grok-1's release is. Tensors have no names there; here they are called as the file
 * is, and {@code .weight} or {@code .scales} after it.
 *
 * @param kept the bytes that are no array's, in their order
 * @param tensors the arrays
 * @param before how many bytes of {@code kept} come before each
 */
@SuppressWarnings("ArrayRecordComponent") // Never compared.
public record PickleHeader(
    byte[] kept, long fileBytes, List<TensorInfo> tensors, List<Integer> before)
    implements WeightHeader {
  /** What numbers are called, or the one array. */
  public static final String WEIGHT = ".weight";

  /** What scales are called. */
  public static final String SCALES = ".scales";

  public PickleHeader {
    tensors = List.copyOf(tensors);
    before = List.copyOf(before);
  }

  /**
   * Reads a file, but for the bytes of arrays.
   *
   * @throws dev.moxie.format.error.InvalidInputException if it is no such pickle
   */
  public static PickleHeader read(Path file) {
    StrictJson.requireRegular(file);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return parse(
          file.toString(),
          FileNames.of(file.getFileName()),
          PickleSource.of(channel),
          channel.size());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Reads what was kept of a file.
   *
   * @param where for messages
   * @param file its name
   * @param fileBytes size of the file
   * @throws dev.moxie.format.error.InvalidInputException if it is no such pickle
   */
  public static PickleHeader parse(String where, String file, byte[] kept, long fileBytes) {
    try {
      PickleHeader header = parse(where, file, PickleSource.of(kept), fileBytes);
      if (header.bytes() != kept.length) {
        throw new CorruptException(
            where,
            "a pickle of %d bytes without its arrays".formatted(header.bytes()),
            kept.length + " bytes",
            "convert the checkpoint again");
      }
      return header;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static PickleHeader parse(String where, String file, PickleSource source, long fileBytes)
      throws IOException {
    var reader = new PickleReader(where, source, fileBytes);
    List<TensorInfo> tensors = new ArrayList<>();
    List<Integer> before = new ArrayList<>();
    long begin = 0;
    for (PickleValue.Array array : reader.read()) {
      String name = file + (tensors.isEmpty() ? WEIGHT : SCALES);
      long end = begin + array.data().bytes();
      tensors.add(new TensorInfo(name, array.dtype(), array.shape(), begin, end));
      before.add(array.data().before());
      begin = end;
    }
    return new PickleHeader(reader.kept(), fileBytes, tensors, before);
  }

  /**
   * Whether bytes begin as such a pickle does. What follows, the length of a frame, would make them
   * the start of a safetensors file with a header longer than any is.
   */
  public static boolean isStart(byte[] bytes) {
    return bytes.length >= SafetensorsHeader.LENGTH_BYTES
        && (bytes[0] & 0xff) == Opcode.PROTO
        && (bytes[2] & 0xff) == Opcode.FRAME
        && Long.compareUnsigned(
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(),
                SafetensorsHeader.MAX_JSON_BYTES)
            > 0;
  }

  @Override
  public long bytes() {
    return kept.length;
  }

  @Override
  public long before(TensorInfo tensor) {
    return before.get(tensors.indexOf(tensor));
  }
}
