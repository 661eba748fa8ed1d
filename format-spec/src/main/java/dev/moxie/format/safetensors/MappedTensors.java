package dev.moxie.format.safetensors;

import dev.moxie.format.error.CorruptException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The tensors of a weight file, mapped. Files may exceed 2 GiB.
 *
 * <p>Data are mapped, not copied, and may start at any byte: read them with unaligned layouts. All
 * threads may read; {@link #close} unmaps, and touching a segment afterwards throws.
 */
public final class MappedTensors implements AutoCloseable {
  private final Path path;
  private final WeightHeader header;
  private final Arena arena;
  private final MemorySegment file;
  private final Map<String, TensorInfo> byName;

  private MappedTensors(Path path, WeightHeader header, Arena arena, MemorySegment file) {
    this.path = path;
    this.header = header;
    this.arena = arena;
    this.file = file;
    this.byName = LinkedHashMap.newLinkedHashMap(header.tensors().size());
    header.tensors().forEach(info -> byName.put(info.name(), info));
  }

  /**
   * Maps a file.
   *
   * @param header of it
   * @throws UncheckedIOException if it cannot be read
   */
  public static MappedTensors map(Path path, WeightHeader header) {
    Arena arena = Arena.ofShared();
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      MemorySegment file = channel.map(FileChannel.MapMode.READ_ONLY, 0, header.fileBytes(), arena);
      return new MappedTensors(path, header, arena, file);
    } catch (IOException e) {
      arena.close();
      throw new UncheckedIOException(e);
    } catch (RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  /** The entries, in the order of their data. */
  public List<TensorInfo> infos() {
    return header.tensors();
  }

  /** The entry of that name, if there is one. */
  public Optional<TensorInfo> find(String name) {
    return Optional.ofNullable(byName.get(name));
  }

  /**
   * The entry of that name.
   *
   * @throws CorruptException if the file has none
   */
  public TensorInfo require(String name) {
    return find(name)
        .orElseThrow(
            () ->
                new CorruptException(
                    path.toString(),
                    "tensor \"" + name + "\"",
                    "none of that name",
                    "the file is not the one its index describes"));
  }

  /** The bytes of one tensor, mapped. */
  public MemorySegment data(TensorInfo info) {
    return file.asSlice(header.offset(info), info.bytes());
  }

  /** The whole file, mapped. */
  public MemorySegment bytes() {
    return file;
  }

  @Override
  public void close() {
    arena.close();
  }
}
