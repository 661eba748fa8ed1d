package dev.moxie.format.pack;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Elements;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnfinishedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Entry;
import dev.moxie.format.file.FileStamp;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.pickle.PickleHeader;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsHeader;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorInfo;
import dev.moxie.format.safetensors.WeightHeader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A package, opened for reading. Opening checks the manifest against its own digest, the index
 * against the manifest, and both against the architecture; weights are mapped when first asked for,
 * after their shard's header has been checked. The digests of the weights themselves are not
 * checked here: that reads every byte, and is the verifier's work.
 *
 * <p>Safe for several threads.
 */
public final class MoxiePackage implements AutoCloseable {
  /** An index of DeepSeek-V3's 92 000 tensors takes about 30 MB. */
  private static final long MAX_FILE_BYTES = 1L << 30;

  private final Path folder;
  private final FileStamp stamp;
  private final Manifest manifest;
  private final List<IndexRow> rows;
  private final Map<Key, IndexRow> byKey;
  private final Map<String, List<IndexRow>> stacks = new HashMap<>();
  private final Map<String, List<IndexRow>> byShard = new HashMap<>();
  private final Map<String, SafetensorsFile> open = new HashMap<>();
  private final Map<String, NavigableMap<Long, IndexRow>> leavesByOffset =
      new ConcurrentHashMap<>();

  private record Key(String name, @Nullable Integer expert, @Nullable Projection projection) {}

  private MoxiePackage(Path folder, FileStamp stamp, Manifest manifest, List<IndexRow> rows) {
    this.folder = folder;
    this.stamp = stamp;
    this.manifest = manifest;
    this.rows = List.copyOf(rows);
    this.byKey = HashMap.newHashMap(rows.size());
    @Nullable String shard = null;
    List<IndexRow> ofShard = new ArrayList<>();
    for (IndexRow row : rows) {
      if (!row.shard().equals(shard)) {
        shard = row.shard();
        ofShard = byShard.computeIfAbsent(shard, name -> new ArrayList<>());
      }
      ofShard.add(row);
      if (row.kind() == IndexRow.Kind.STACK) {
        stacks.computeIfAbsent(row.name(), name -> new ArrayList<>(1)).add(row);
      } else {
        byKey.put(new Key(row.name(), row.expert(), row.projection()), row);
      }
    }
  }

  /** Whether the folder holds a finished package. */
  public static boolean isPackage(Path folder) {
    return Files.isRegularFile(folder.resolve(PackagePaths.MANIFEST), LinkOption.NOFOLLOW_LINKS);
  }

  /**
   * Makes sure that a folder to be made lies in no package.
   *
   * @throws UsageException if it does
   */
  public static void requireOutside(Path target) {
    for (Path above = target.getParent(); above != null; above = above.getParent()) {
      if (isPackage(above)) {
        throw new UsageException(
            target.toString(),
            "a target outside other packages",
            "one inside the package " + above,
            "choose another target");
      }
    }
  }

  /**
   * Opens a package.
   *
   * @throws UnfinishedException if the folder has no manifest
   * @throws CorruptException if it is no folder, or manifest or index break a rule of the format
   * @throws UsageException if there is nothing of that name
   */
  public static MoxiePackage open(Path folder) {
    switch (Entry.of(folder)) {
      case NONE ->
          throw new UsageException(
              folder.toString(), "a package folder", "nothing of that name", "check the path");
      case FILE, OTHER ->
          throw new CorruptException(
              folder.toString(), "a package folder", "something else", "pass the folder");
      case FOLDER -> {}
    }
    return openFolder(real(folder));
  }

  /** A link to a package is as good as the package; links inside it are not. */
  private static Path real(Path folder) {
    try {
      return folder.toRealPath();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static MoxiePackage openFolder(Path folder) {
    Path manifestFile = folder.resolve(PackagePaths.MANIFEST);
    if (Files.isSymbolicLink(manifestFile)) {
      throw new CorruptException(
          manifestFile.toString(),
          "a regular file",
          "a link",
          "a package must not name what lies outside it; put the file in its place");
    }
    if (Entry.of(manifestFile) != Entry.NONE && !isPackage(folder)) {
      throw new CorruptException(
          manifestFile.toString(),
          "a regular file",
          Entry.of(manifestFile) == Entry.FOLDER ? "a folder" : "something else",
          "this is no Moxie package");
    }
    if (Entry.of(manifestFile) == Entry.NONE) {
      throw new UnfinishedException(
          folder.toString(),
          "a finished package with " + PackagePaths.MANIFEST,
          "none",
          "convert the checkpoint (again)");
    }
    var stamp = FileStamp.of(manifestFile);
    Manifest manifest = ManifestFile.read(manifestFile);
    Path indexFile = folder.resolve(PackagePaths.INDEX);
    Manifest.OtherFile entry = manifest.file(PackagePaths.INDEX).orElseThrow();
    return unlessChanged(
        folder,
        stamp,
        () -> {
          byte[] index = read(folder, PackagePaths.INDEX);
          return Alongside.check(
              () -> requireDigest(indexFile, entry, index),
              () -> {
                List<IndexRow> rows =
                    ArrowIndex.decode(indexFile.toString(), manifest.version(), index);
                IndexRules.check(indexFile.toString(), manifest, rows);
                return new MoxiePackage(folder, stamp, manifest, rows);
              });
        });
  }

  /**
   * What does not fit the manifest is corrupt only if the manifest is still the one that is read.
   */
  private static <T> T unlessChanged(Path folder, FileStamp stamp, Supplier<T> read) {
    try {
      return read.get();
    } catch (InvalidInputException e) {
      requireUnchanged(folder, stamp);
      throw e;
    }
  }

  /** The bytes of a listed file, if they are those that the manifest lists. */
  private byte[] readChecked(Manifest.OtherFile entry) {
    byte[] bytes = read(folder, entry.path());
    requireDigest(folder.resolve(entry.path()), entry, bytes);
    return bytes;
  }

  private static byte[] read(Path folder, String path) {
    Path file = folder.resolve(path);
    if (!isOwnFile(folder, path)) {
      throw new CorruptException(
          file.toString(),
          "a regular file of the package",
          Files.exists(file) ? "a link or folder" : "none",
          "restore it or convert again");
    }
    return StrictJson.readBounded(file, MAX_FILE_BYTES);
  }

  /** Whether a file of the package is there, and is neither a link nor reached through one. */
  public boolean hasOwnFile(String path) {
    return isOwnFile(folder, path);
  }

  private static boolean isOwnFile(Path folder, String path) {
    for (int end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      if (!Files.isDirectory(folder.resolve(path.substring(0, end)), LinkOption.NOFOLLOW_LINKS)) {
        return false;
      }
    }
    return Files.isRegularFile(folder.resolve(path), LinkOption.NOFOLLOW_LINKS);
  }

  private static void requireDigest(Path file, Manifest.OtherFile entry, byte[] bytes) {
    String digest = Digests.sha256(bytes);
    if (bytes.length != entry.bytes() || !digest.equals(entry.sha256())) {
      throw new CorruptException(
          file.toString(),
          entry.bytes() + " bytes with SHA-256 " + entry.sha256(),
          bytes.length + " bytes with SHA-256 " + digest,
          "the file was altered or damaged, restore it or convert again");
    }
  }

  /**
   * Makes sure that this is still the package that was opened: another may have taken its place
   * while it was read, and is not damaged because it does not fit this one's manifest.
   *
   * @throws EnvironmentException if there is another, or none
   */
  public void requireUnchanged() {
    requireUnchanged(folder, stamp);
  }

  /** A package that takes another's place brings a manifest of its own, be its bytes the same. */
  private static void requireUnchanged(Path folder, FileStamp before) {
    Path file = folder.resolve(PackagePaths.MANIFEST);
    boolean there = Entry.of(file) == Entry.FILE;
    if (!there || !FileStamp.of(file).equals(before)) {
      throw EnvironmentException.changedWhileRead(
          folder.toString(),
          there ? "another package has taken its place" : "the package is no longer there");
    }
  }

  /** Where the package lies. */
  public Path folder() {
    return folder;
  }

  /** The manifest, checked. */
  public Manifest manifest() {
    return manifest;
  }

  /** SHA-256 of the manifest, and so of everything that it digests, lower-case hexadecimal. */
  public String manifestSha256() {
    return Digests.sha256(
        StrictJson.readBounded(folder.resolve(PackagePaths.MANIFEST), ManifestFile.MAX_BYTES));
  }

  /** The forward pass. */
  public Architecture architecture() {
    return manifest.architecture();
  }

  /** Every row of the index, in file order. */
  public List<IndexRow> rows() {
    return rows;
  }

  /** The row of a tensor that the architecture calls for and that is no expert stack. */
  public IndexRow tensor(String name) {
    return require(new Key(name, null, null));
  }

  /** The rows of an expert stack: one, or one for each file that it is spread over, in order. */
  public List<IndexRow> stack(String name) {
    List<IndexRow> parts = stacks.get(name);
    if (parts == null) {
      throw new IllegalArgumentException("the architecture calls for no stack " + name);
    }
    return List.copyOf(parts);
  }

  /** The row of one projection of one expert. */
  public IndexRow slice(String stack, int expert, Projection projection) {
    return require(new Key(stack, expert, projection));
  }

  /**
   * The row of a part of a tensor: one projection of one expert, or all of what is no stack. Of one
   * that {@linkplain Role#mayBeShared() may be shared} and is not there, that which serves.
   */
  public IndexRow row(TensorSpec.Leaf leaf) {
    String name = leaf.tensor().name();
    Role role = leaf.tensor().role();
    if (role.mayBeShared() && !byKey.containsKey(new Key(name, null, null))) {
      return tensor(role.shared(architecture().tiedEmbeddings()).tensor());
    }
    return leaf.expert() == null || leaf.projection() == null
        ? tensor(name)
        : slice(name, leaf.expert(), leaf.projection());
  }

  /** The row of the scales of a matrix or slice, if its elements have any. */
  public Optional<IndexRow> scales(IndexRow row) {
    return row.encoding() instanceof BlockScaled
        ? Optional.of(
            require(new Key(BlockScaled.scaleName(row.name()), row.expert(), row.projection())))
        : Optional.empty();
  }

  /** The elements of a tensor or slice, widened. */
  public Elements elements(IndexRow row) {
    if (!(row.encoding() instanceof BlockScaled encoding)) {
      return Elements.plain(row.describe(), bytes(row), row.dtype());
    }
    IndexRow scales = scales(row).orElseThrow();
    return Elements.scaled(encoding, bytes(row), bytes(scales), scales.dtype(), matrix(row).dim(1));
  }

  /** The shape of a tensor or slice, in elements. */
  public static Shape matrix(IndexRow row) {
    return row.encoding() instanceof BlockScaled encoding
        ? encoding.matrices(row.shape())
        : row.shape();
  }

  private IndexRow require(Key key) {
    IndexRow row = byKey.get(key);
    if (row == null) {
      throw new IllegalArgumentException("the architecture calls for no " + key);
    }
    return row;
  }

  /**
   * A file taken over from the checkpoint, if there was one of that name.
   *
   * @throws CorruptException if it is not the one that was taken over
   */
  public Optional<Path> sourceFile(String name) {
    return sourceBytes(name).map(bytes -> sourcePath(name));
  }

  /**
   * The bytes of such a file.
   *
   * @throws CorruptException if they are not those that were taken over
   */
  public Optional<byte[]> sourceBytes(String name) {
    return unlessChanged(
        folder, stamp, () -> manifest.file(PackagePaths.SOURCE + name).map(this::readChecked));
  }

  /**
   * The header of a weight file of the checkpoint, as it was taken over.
   *
   * @throws CorruptException if it is not the one that was taken over, or no header of such a file
   */
  public WeightHeader sourceHeader(Manifest.SourceShard shard) {
    String path = PackagePaths.headerOf(shard.file());
    String where = folder.resolve(path).toString();
    byte[] bytes =
        unlessChanged(folder, stamp, () -> readChecked(manifest.file(path).orElseThrow()));
    if (PickleHeader.isStart(bytes)) {
      return PickleHeader.parse(where, shard.file(), bytes, shard.bytes());
    }
    int json = SafetensorsHeader.jsonBytes(where, ByteBuffer.wrap(bytes), shard.bytes());
    if (bytes.length != SafetensorsHeader.LENGTH_BYTES + json) {
      throw new CorruptException(
          where,
          "a header of " + (SafetensorsHeader.LENGTH_BYTES + json) + " bytes, as it says",
          bytes.length + " bytes",
          "convert the checkpoint again");
    }
    return SafetensorsHeader.parse(
        where,
        Arrays.copyOfRange(bytes, SafetensorsHeader.LENGTH_BYTES, bytes.length),
        shard.bytes());
  }

  /**
   * Makes sure that every leaf can have been made from what the index says it was made from.
   *
   * @throws CorruptException naming the first that cannot
   */
  public void requireSources() {
    SourceRules.check(this);
  }

  private Path sourcePath(String name) {
    return folder.resolve(PackagePaths.SOURCE + name);
  }

  /**
   * Checks the CRC-32C of every leaf that lies in a range of a shard: what a loader does with what
   * it is about to compute with.
   *
   * @throws CorruptException naming the leaf whose bytes are not those that were written
   */
  public void requireIntact(String shard, long offset, long bytes) {
    for (IndexRow leaf : leaves(shard).subMap(offset, offset + bytes).values()) {
      long found = Digests.crc32c(bytes(leaf));
      if (!Long.valueOf(found).equals(leaf.crc32c())) {
        throw new CorruptException(
            folder.resolve(shard) + ", tensor " + leaf.describe(),
            "CRC-32C " + leaf.crc32c(),
            String.valueOf(found),
            "the weights were altered or damaged; run moxie verify, then restore or convert again");
      }
    }
  }

  private NavigableMap<Long, IndexRow> leaves(String shard) {
    return leavesByOffset.computeIfAbsent(
        shard,
        name -> {
          NavigableMap<Long, IndexRow> leaves = new TreeMap<>();
          byShard.getOrDefault(name, List.of()).stream()
              .filter(row -> row.isLeaf() && row.bytes() > 0)
              .forEach(row -> leaves.put(row.offset(), row));
          return leaves;
        });
  }

  /**
   * The bytes of a row, mapped.
   *
   * @throws CorruptException if the shard is not the one that manifest and index describe
   */
  public MemorySegment bytes(IndexRow row) {
    return shard(row.shard()).bytes().asSlice(row.offset(), row.bytes());
  }

  /**
   * A shard, its header checked against manifest and index.
   *
   * @throws CorruptException if it is not the shard that they describe
   */
  public synchronized SafetensorsFile shard(String name) {
    SafetensorsFile file = open.get(name);
    if (file == null) {
      file = unlessChanged(folder, stamp, () -> openShard(name));
      open.put(name, file);
    }
    return file;
  }

  private SafetensorsFile openShard(String name) {
    Manifest.Shard entry =
        manifest.shards().stream()
            .filter(shard -> shard.file().equals(name))
            .findFirst()
            .orElseThrow(() -> new IllegalArgumentException("no shard " + name));
    Path path = folder.resolve(name);
    requireFile(path, hasOwnFile(name), entry);
    SafetensorsFile file = SafetensorsFile.open(path);
    try {
      requireHeader(path, entry, file);
      requireRows(path, name, file);
      requireEmptyFillers(path, name, file);
      return file;
    } catch (RuntimeException e) {
      file.close();
      throw e;
    }
  }

  private static void requireFile(Path path, boolean regular, Manifest.Shard entry) {
    try {
      if (!regular || Files.size(path) != entry.bytes()) {
        throw new CorruptException(
            path.toString(),
            "a file of " + entry.bytes() + " bytes",
            regular ? Files.size(path) + " bytes" : "no such file",
            "the shard is lost or cut short, restore it or convert again");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void requireHeader(Path path, Manifest.Shard entry, SafetensorsFile file) {
    long headerBytes = file.header().bytes();
    String digest = Digests.of(file.bytes().asSlice(0, headerBytes)).sha256();
    if (headerBytes != entry.headerBytes() || !digest.equals(entry.headerSha256())) {
      throw new CorruptException(
          path + ", header",
          entry.headerBytes() + " bytes with SHA-256 " + entry.headerSha256(),
          headerBytes + " bytes with SHA-256 " + digest,
          "the shard was altered or damaged, restore it or convert again");
    }
  }

  /** What nobody computes with and no source stands for must not carry anything. */
  private void requireEmptyFillers(Path path, String shard, SafetensorsFile file) {
    for (IndexRow row : byShard.getOrDefault(shard, List.of())) {
      for (long i = 0; row.role() == Role.PADDING && i < row.bytes(); i++) {
        byte found = file.bytes().get(ValueLayout.JAVA_BYTE, row.offset() + i);
        if (found != 0) {
          throw new CorruptException(
              path + ", tensor " + row.name() + " (offset " + (row.offset() + i) + ")",
              "zero in a filler",
              "byte 0x" + Integer.toHexString(found & 0xff),
              "the shard was altered, restore it or convert again");
        }
      }
    }
  }

  private void requireRows(Path path, String shard, SafetensorsFile file) {
    int tensors = 0;
    for (IndexRow row : byShard.getOrDefault(shard, List.of())) {
      if (row.kind() == IndexRow.Kind.SLICE) {
        continue;
      }
      tensors++;
      TensorInfo info = file.require(row.name());
      if (info.dtype() != row.dtype()
          || !info.shape().equals(row.shape())
          || file.header().bytes() + info.begin() != row.offset()) {
        throw new CorruptException(
            path + ", tensor " + row.name(),
            row.dtype() + " " + row.shape() + " at offset " + row.offset(),
            info.dtype()
                + " "
                + info.shape()
                + " at offset "
                + (file.header().bytes() + info.begin()),
            "index and shard disagree, convert again");
      }
    }
    if (tensors != file.header().tensors().size()) {
      throw new CorruptException(
          path.toString(),
          tensors + " tensors, as the index says",
          file.header().tensors().size() + " tensors",
          "index and shard disagree, convert again");
    }
  }

  @Override
  public synchronized void close() {
    open.values().forEach(SafetensorsFile::close);
    open.clear();
  }
}
