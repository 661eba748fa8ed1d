package dev.moxie.converter.plan;

import dev.moxie.converter.adapter.LowRank;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.encoding.Elements;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Reads the factors that an adapter adds. Those of the experts of a layer lie in two tensors, which
 * are kept as long as they are the ones read last.
 */
final class FactorReader {
  private static final int KEPT = 2;

  private record Of(Path folder, SourceTensor tensor) {}

  private final Map<Of, Elements> last =
      new LinkedHashMap<>(KEPT, 1, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Of, Elements> eldest) {
          return size() > KEPT;
        }
      };

  /** The columns of the left factor, one for each of its rows after the other. */
  double[] left(LowRank update, long rows) throws IOException {
    return matrix(update.folder(), update.left(), Math.toIntExact(rows), update.rank());
  }

  /** The rows of the right factor, one after the other. */
  double[] right(LowRank update, long columns) throws IOException {
    return matrix(update.folder(), update.right(), update.rank(), Math.toIntExact(columns));
  }

  private double[] matrix(Path folder, LowRank.Factor factor, int rows, int columns)
      throws IOException {
    Elements elements = elements(folder, factor.tensor());
    double[] matrix = new double[Math.multiplyExact(rows, columns)];
    int at = 0;
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        matrix[at++] = elements.get(factor.place(row, column));
      }
    }
    return matrix;
  }

  private Elements elements(Path folder, SourceTensor tensor) throws IOException {
    var key = new Of(folder, tensor);
    Elements known = last.get(key);
    if (known != null) {
      return known;
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.toIntExact(tensor.bytes())).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(folder.resolve(tensor.file()))) {
      SameBytes.read(channel, bytes, tensor.offset());
    }
    Elements read =
        Elements.plain(tensor.name(), MemorySegment.ofArray(bytes.array()), tensor.dtype());
    last.put(key, read);
    return read;
  }
}
