package dev.moxie.format.pack;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/** The two digests of format version 1, computed together over the same bytes in one pass. */
public final class Digests {
  private static final long CHUNK = 1 << 20;

  private final MessageDigest sha256 = newSha256();
  private final CRC32C crc32c = new CRC32C();

  /**
   * Both digests are faster on an array that stays in the cache than on memory outside the heap.
   */
  private final byte[] near = new byte[1 << 15];

  /**
   * Both digests of some bytes.
   *
   * @param crc32c CRC-32C (RFC 3720, appendix B.4), unsigned
   * @param sha256 SHA-256 (FIPS 180-4), lower-case hexadecimal
   */
  public record Result(long crc32c, String sha256) {}

  /** Takes in the remaining bytes of {@code chunk}, leaving its position as it was. */
  public void update(ByteBuffer chunk) {
    ByteBuffer rest = chunk.duplicate();
    while (rest.hasRemaining()) {
      int count = Math.min(near.length, rest.remaining());
      rest.get(near, 0, count);
      sha256.update(near, 0, count);
      crc32c.update(near, 0, count);
    }
  }

  /** The digests of all bytes since the last call. */
  public Result finish() {
    var result = new Result(crc32c.getValue(), HexFormat.of().formatHex(sha256.digest()));
    crc32c.reset();
    return result;
  }

  /** Both digests of mapped bytes, which may exceed 2 GiB. */
  public static Result of(MemorySegment bytes) {
    var digests = new Digests();
    chunks(bytes).forEach(digests::update);
    return digests.finish();
  }

  /** Some bytes of a file. */
  public record Extent(long offset, long bytes) {}

  /**
   * The digests of parts of a file.
   *
   * @param header that the file must begin with
   * @param size that it must have
   * @return nothing if it is no such file
   */
  public static Optional<List<Result>> ofFile(
      Path file, byte[] header, long size, List<Extent> parts) throws IOException {
    if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) || Files.size(file) != size) {
      return Optional.empty();
    }
    try (FileChannel in = FileChannel.open(file, LinkOption.NOFOLLOW_LINKS);
        Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = in.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
      if (bytes.asSlice(0, header.length).mismatch(MemorySegment.ofArray(header)) >= 0) {
        return Optional.empty();
      }
      return Optional.of(
          parts.stream().map(part -> of(bytes.asSlice(part.offset(), part.bytes()))).toList());
    }
  }

  /** CRC-32C alone of mapped bytes, many times faster than {@link #of}. */
  public static long crc32c(MemorySegment bytes) {
    var crc32c = new CRC32C();
    chunks(bytes).forEach(crc32c::update);
    return crc32c.getValue();
  }

  /** A buffer holds at most 2 GiB, and a small one stays in the cache between both digests. */
  private static Stream<ByteBuffer> chunks(MemorySegment bytes) {
    return LongStream.iterate(0, at -> at < bytes.byteSize(), at -> at + CHUNK)
        .mapToObj(at -> bytes.asSlice(at, Math.min(CHUNK, bytes.byteSize() - at)).asByteBuffer());
  }

  /** SHA-256 of bytes in memory, lower-case hexadecimal. */
  public static String sha256(byte[] bytes) {
    return HexFormat.of().formatHex(newSha256().digest(bytes));
  }

  private static MessageDigest newSha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
