package dev.moxie.converter.plan;

import dev.moxie.format.file.Disk;
import dev.moxie.format.file.StreamedFile;
import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * How fast a plan's bytes go from its source to its target, measured by moving some of them: read,
 * transformed, digested, written and synced as the conversion will do it, into files that are
 * removed again.
 */
final class CopyRate {
  private static final long NANOS = 250_000_000;
  private static final long WARM_UP_NANOS = 50_000_000;
  private static final long MOST_BYTES = 256L << 20;

  private CopyRate() {}

  /**
   * Bytes written per second.
   *
   * @param threads that write at a time
   * @param free bytes at the target, of which a small part is used
   */
  static double measure(PackageContents contents, Path target, int threads, long free) {
    long most = Math.min(MOST_BYTES, free / 20) / threads;
    Path place = DiskSpace.existing(target.toAbsolutePath().resolveSibling("."));
    try {
      Path folder = Disk.createTemporaryFolder(place, ".moxie-probe-");
      try {
        // The first time is for the compiler.
        move(contents, folder, threads, most, WARM_UP_NANOS);
        long start = System.nanoTime();
        long bytes = move(contents, folder, threads, most, NANOS);
        return bytes * 1e9 / (System.nanoTime() - start);
      } finally {
        Disk.deleteTree(folder);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** How many bytes so many threads have written when the time is over. */
  private static long move(
      PackageContents contents, Path folder, int threads, long most, long nanos) {
    var bytes = new AtomicLong();
    List<Tasks.Task> tasks = new ArrayList<>();
    for (int i = 0; i < Math.min(threads, contents.shards().size()); i++) {
      // The last shards are experts, which most bytes are.
      ConversionPlan.Shard shard = contents.shards().get(contents.shards().size() - 1 - i);
      Path file = folder.resolve(String.valueOf(i));
      tasks.add(() -> bytes.addAndGet(move(contents.folder(), shard, file, most, nanos)));
    }
    Tasks.run(tasks, threads);
    return bytes.get();
  }

  private static long move(
      Path folder, ConversionPlan.Shard shard, Path file, long most, long nanos)
      throws IOException {
    long end = System.nanoTime() + nanos;
    long written = 0;
    try (var reader = new SourceReader(folder, Progress.NONE);
        var out = StreamedFile.create(file, shard.bytes())) {
      var digests = new Digests();
      for (ConversionPlan.Move move : shard.moves()) {
        var bytes = reader.open(move.piece());
        for (long left = move.bytes(); left > 0; ) {
          if (written >= most || System.nanoTime() > end) {
            out.finish();
            return written;
          }
          int count = out.fill(left, bytes::read, digests::update);
          left -= count;
          written += count;
        }
      }
      out.finish();
      return written;
    } finally {
      Disk.delete(file);
    }
  }
}
