package dev.moxie.converter.export;

import dev.moxie.converter.plan.Progress;
import dev.moxie.converter.plan.Tasks;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Channels;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.Digests;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.safetensors.Dtype;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes a package's checkpoint again. What conversion left as it was comes back byte for byte:
 * shard split, tensor order, header padding, index and config. Where it changed or dropped
 * something, the files concerned are composed anew, the index follows them, and config.json says
 * what the weights now are.
 */
public final class Exporter {
  private static final String CONFIG = "config.json";
  private static final String INDEX = "model.safetensors.index.json";
  private static final int CHUNK_BYTES = 1 << 20;

  private final MoxiePackage pack;
  private final List<WeightFile> files;
  private final Progress progress;

  private Exporter(MoxiePackage pack, List<WeightFile> files, Progress progress) {
    this.pack = pack;
    this.files = files;
    this.progress = progress;
  }

  /**
   * What an export wrote.
   *
   * @param bytes of weight files
   * @param asItWas whether all files are byte for byte those of the checkpoint
   */
  public record Result(int weightFiles, long bytes, boolean asItWas) {}

  /** Bytes of weights that an export of this package writes, without headers. */
  public static long bytes(MoxiePackage pack) {
    return pack.rows().stream()
        .filter(row -> row.isLeaf() && row.role() != Role.PADDING)
        .mapToLong(IndexRow::bytes)
        .sum();
  }

  /**
   * Writes the checkpoint.
   *
   * @param target a folder to make
   * @param threads files written at a time, from 1
   * @throws CorruptException if bytes of the package are not those that were written
   * @throws UsageException if the target exists
   */
  public static Result export(MoxiePackage pack, Path target, int threads, Progress progress) {
    Map<String, Map<String, IndexRow>> bySource = new HashMap<>();
    for (IndexRow row : pack.rows()) {
      if (row.sourceFile() != null && row.sourceTensor() != null) {
        IndexRow twin =
            bySource
                .computeIfAbsent(row.sourceFile(), file -> new HashMap<>())
                .put(row.sourceTensor(), row);
        if (twin != null) {
          throw new CorruptException(
              pack.folder() + ", tensor " + row.describe(),
              "a source tensor of its own",
              row.sourceTensor() + ", which " + twin.describe() + " comes from as well",
              "convert the checkpoint again");
        }
      }
    }
    List<WeightFile> files = new ArrayList<>();
    for (Manifest.SourceShard shard : pack.manifest().provenance().shards()) {
      Map<String, IndexRow> rows = bySource.getOrDefault(shard.file(), Map.of());
      if (!rows.isEmpty()) {
        files.add(WeightFile.of(pack, shard, rows));
      }
    }
    var exporter = new Exporter(pack, files, progress);
    try (StagedFolder folder = StagedFolder.create(target, Exporter::requireFree)) {
      boolean asItWas = exporter.write(folder.path(), threads);
      folder.commit();
      long bytes = files.stream().mapToLong(WeightFile::bytes).sum();
      return new Result(files.size(), bytes, asItWas);
    }
  }

  private static void requireFree(Path target) {
    for (Path above = target; above != null; above = above.getParent()) {
      if (MoxiePackage.isPackage(above)) {
        throw new UsageException(
            target.toString(),
            "a target outside packages",
            "one inside the package " + above,
            "choose another target");
      }
    }
    if (Files.exists(target) && !StagedFolder.isEmptyFolder(target)) {
      throw new UsageException(
          target.toString(),
          "a new folder or an empty one",
          "something else",
          "choose another target, export replaces nothing");
    }
  }

  private boolean write(Path folder, int threads) {
    List<Tasks.Task> tasks = new ArrayList<>();
    for (WeightFile file : files) {
      tasks.add(() -> writeWeights(folder.resolve(file.name()), file));
    }
    Tasks.run(tasks, threads);
    boolean complete = files.size() == pack.manifest().provenance().shards().size();
    boolean asItWas = complete && files.stream().allMatch(WeightFile::asItWas);
    for (String name : companions()) {
      byte[] bytes = companion(name);
      if (!asItWas && name.equals(INDEX)) {
        bytes = index(bytes);
      }
      if (name.equals(CONFIG) && pack.manifest().provenance().cast() != null) {
        bytes = config(bytes, pack.manifest().provenance().cast().dtype());
      }
      writeCompanion(folder.resolve(name), bytes);
    }
    return asItWas;
  }

  private void writeWeights(Path path, WeightFile file) throws IOException {
    try (FileChannel out = create(path)) {
      Channels.writeFully(out, ByteBuffer.wrap(file.header()));
      for (IndexRow leaf : file.leaves()) {
        writeLeaf(out, leaf);
      }
      out.force(true);
    }
    progress.finished(file.name());
  }

  private void writeLeaf(FileChannel out, IndexRow leaf) throws IOException {
    MemorySegment bytes = pack.bytes(leaf);
    var digests = new Digests();
    for (long at = 0; at < bytes.byteSize(); at += CHUNK_BYTES) {
      long size = Math.min(CHUNK_BYTES, bytes.byteSize() - at);
      ByteBuffer chunk = bytes.asSlice(at, size).asByteBuffer();
      digests.update(chunk);
      Channels.writeFully(out, chunk);
      progress.advance(size);
    }
    String found = digests.finish().sha256();
    if (!found.equals(leaf.sha256())) {
      throw new CorruptException(
          pack.folder().resolve(leaf.shard()) + ", tensor " + leaf.describe(),
          "SHA-256 " + leaf.sha256(),
          found,
          "the weights were altered or damaged; restore the package or convert again");
    }
  }

  /** The checkpoint's files that are no weights; headers of weight files are ours. */
  private List<String> companions() {
    Manifest manifest = pack.manifest();
    List<String> headers =
        manifest.provenance().shards().stream().map(shard -> shard.file() + ".header").toList();
    return manifest.files().stream()
        .map(Manifest.OtherFile::path)
        .filter(path -> path.startsWith(PackagePaths.SOURCE))
        .map(path -> path.substring(PackagePaths.SOURCE.length()))
        .filter(name -> !headers.contains(name))
        .toList();
  }

  private byte[] companion(String name) {
    try {
      return Files.readAllBytes(pack.sourceFile(name).orElseThrow());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Which file holds which tensor now, and how many bytes there are. */
  private byte[] index(byte[] original) {
    ObjectNode index = object(INDEX, original);
    ObjectNode map = StrictJson.mapper(false).createObjectNode();
    long total = 0;
    for (WeightFile file : files) {
      for (IndexRow leaf : file.leaves()) {
        map.put(leaf.sourceTensor(), file.name());
        total += leaf.bytes();
      }
    }
    index.set("weight_map", map);
    if (index.path("metadata") instanceof ObjectNode metadata) {
      metadata.put("total_size", total);
    }
    return print(index);
  }

  /** The config without its quantisation, and with the weights' new element type. */
  private static byte[] config(byte[] original, Dtype dtype) {
    ObjectNode config = object(CONFIG, original);
    config.remove("quantization_config");
    String name = dtype == Dtype.BF16 ? "bfloat16" : "float32";
    // transformers 5 spells it dtype.
    config.put(config.has("dtype") ? "dtype" : "torch_dtype", name);
    if (config.has("dtype") && config.has("torch_dtype")) {
      config.put("torch_dtype", name);
    }
    return print(config);
  }

  private static ObjectNode object(String where, byte[] json) {
    JsonNode node = StrictJson.mapper(false).readTree(json);
    if (node instanceof ObjectNode object) {
      return object;
    }
    throw new CorruptException(where, "a JSON object", "another value", "convert again");
  }

  private static byte[] print(ObjectNode object) {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsBytes(object);
  }

  private static void writeCompanion(Path path, byte[] bytes) {
    try {
      Files.createDirectories(path.resolveSibling("."));
      try (FileChannel out = create(path)) {
        Channels.writeFully(out, ByteBuffer.wrap(bytes));
        out.force(true);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static FileChannel create(Path path) throws IOException {
    return FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
  }
}
