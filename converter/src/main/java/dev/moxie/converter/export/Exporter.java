package dev.moxie.converter.export;

import dev.moxie.converter.family.Composite;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.plan.DiskSpace;
import dev.moxie.converter.plan.Progress;
import dev.moxie.converter.plan.Tasks;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.file.StagedFile;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.file.StreamedFile;
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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Writes a package's checkpoint again. What conversion left as it was comes back byte for byte:
 * shard split, tensor order, header padding, index and config. Where it changed or dropped
 * something, the files concerned are composed anew; where tensors are others than before, or of
 * another dtype, the index follows them, and config.json says what the weights now are.
 */
public final class Exporter {
  private static final String CONFIG = "config.json";
  private static final String INDEX = "model.safetensors.index.json";

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
   * @param asItWas whether all files written are byte for byte those of the checkpoint
   * @param missing files of the checkpoint that the package does not hold
   */
  public record Result(int weightFiles, long bytes, boolean asItWas, List<String> missing) {}

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
   * @throws UsageException if the target exists, or what lies beside it is not ours
   */
  public static Result export(MoxiePackage pack, Path target, int threads, Progress progress) {
    try {
      return exportAsRead(pack, target, threads, progress);
    } catch (InvalidInputException e) {
      // What does not fit is corrupt only if the package is still the one that was opened.
      pack.requireUnchanged();
      throw e;
    }
  }

  private static Result exportAsRead(
      MoxiePackage pack, Path target, int threads, Progress progress) {
    Manifest manifest = pack.manifest();
    requireElements(pack, manifest.provenance().quantisation());
    requireNames(pack, manifest.provenance().shards(), companions(manifest));
    Map<String, Map<String, List<IndexRow>>> bySource = new HashMap<>();
    for (IndexRow row : pack.rows()) {
      if (row.sourceFile() != null && row.sourceTensor() != null) {
        bySource
            .computeIfAbsent(row.sourceFile(), file -> new HashMap<>())
            .computeIfAbsent(row.sourceTensor(), tensor -> new ArrayList<>(1))
            .add(row);
      }
    }
    List<WeightFile> files = new ArrayList<>();
    for (Manifest.SourceShard shard : manifest.provenance().shards()) {
      Map<String, List<IndexRow>> rows = bySource.getOrDefault(shard.file(), Map.of());
      if (!rows.isEmpty()) {
        files.add(WeightFile.of(pack, shard, rows));
      }
    }
    var exporter = new Exporter(pack, files, progress);
    exporter.requireWhole();
    Map<String, byte[]> rewritten = exporter.rewritten();
    MoxiePackage.requireOutside(StagedFile.place(target));
    DiskSpace.require(target, exporter.missing(StagedFolder.finished(target)));
    try (StagedFolder folder =
        StagedFolder.open(target, exporter.job(), false, Exporter::requireFree)) {
      if (!folder.isComplete()) {
        exporter.write(folder, rewritten, threads);
        folder.commit();
      }
    }
    long bytes = files.stream().mapToLong(WeightFile::bytes).sum();
    return new Result(
        files.size(), bytes, exporter.asItWas(), manifest.provenance().ignoredFiles());
  }

  /** No library of checkpoints reads such numbers and scales in the layouts that families have. */
  private static void requireElements(
      MoxiePackage pack, Manifest.@Nullable Quantisation quantisation) {
    if (quantisation != null) {
      throw new UnsupportedException(
          pack.folder().toString(),
          "weights that transformers loads",
          "some that were quantised to " + quantisation.encoding(),
          "export the package of a conversion without --quantize, or use the checkpoint itself");
    }
  }

  private StagedFolder.Job job() {
    Set<String> names = new HashSet<>(companions(pack.manifest()));
    files.forEach(file -> names.add(file.name()));
    return new StagedFolder.Job(
        Map.of("the package", "one with a manifest of SHA-256 " + pack.manifestSha256()), names);
  }

  private long missing(Set<String> finished) {
    return files.stream()
        .filter(file -> !finished.contains(file.name()))
        .mapToLong(WeightFile::bytes)
        .sum();
  }

  /** Every file has a name of its own, and weight files lie beside each other. */
  private static void requireNames(
      MoxiePackage pack, List<Manifest.SourceShard> shards, List<String> companions) {
    Set<String> names = new HashSet<>(companions);
    for (Manifest.SourceShard shard : shards) {
      boolean nested = shard.file().contains("/");
      boolean covers = companions.stream().anyMatch(name -> name.startsWith(shard.file() + "/"));
      if (nested || covers || !names.add(shard.file())) {
        throw new CorruptException(
            pack.folder() + ", " + PackagePaths.MANIFEST + ", provenance.shards",
            "weight files beside each other, each with a name of its own",
            "\"" + shard.file() + "\"",
            "convert the checkpoint again");
      }
    }
  }

  /** Whether every weight file is the checkpoint's. */
  private boolean asItWas() {
    return isWhole() && files.stream().allMatch(WeightFile::asItWas);
  }

  /** Whether every tensor of the checkpoint is there, in its dtype and shape. */
  private boolean isWhole() {
    return files.size() == pack.manifest().provenance().shards().size()
        && files.stream().allMatch(WeightFile::whole);
  }

  /** Only what was cast, left out or merged into may differ. */
  private void requireWhole() {
    Manifest.Provenance provenance = pack.manifest().provenance();
    if (provenance.hasAllTensors() && !(provenance.adapter() == null ? asItWas() : isWhole())) {
      throw new CorruptException(
          pack.folder().toString(),
          "every tensor of the checkpoint, since nothing was cast or left out",
          "weight files with tensors that the index does not have",
          "convert the checkpoint again");
    }
  }

  private static void requireFree(Path target, boolean replace) {
    if (Files.exists(target) && !StagedFolder.isEmptyFolder(target)) {
      throw new UsageException(
          target.toString(),
          "a new folder or an empty one",
          MoxiePackage.isPackage(target) ? "a package" : "something else",
          "choose another target, export replaces nothing");
    }
  }

  /** Small files first: what is wrong with them should show before hours of writing. */
  private void write(StagedFolder folder, Map<String, byte[]> rewritten, int threads) {
    try {
      for (String name : companions(pack.manifest())) {
        byte[] bytes = rewritten.get(name);
        folder.write(name, bytes == null ? pack.sourceBytes(name).orElseThrow() : bytes);
      }
      List<Tasks.Task> tasks = new ArrayList<>();
      for (WeightFile file : files) {
        tasks.add(() -> writeWeights(folder, file));
      }
      Tasks.run(tasks, threads);
    } catch (CorruptException e) {
      folder.discard();
      throw e;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Index and config as they must be for the weights that differ; nothing if none does. */
  private Map<String, byte[]> rewritten() {
    Map<String, byte[]> rewritten = new HashMap<>();
    if (isWhole()) {
      return rewritten;
    }
    pack.sourceFile(INDEX)
        .ifPresent(file -> rewritten.put(INDEX, index(StrictJson.readObject(file))));
    pack.sourceFile(CONFIG)
        .ifPresent(file -> rewritten.put(CONFIG, config(StrictJson.readObject(file))));
    return rewritten;
  }

  /** What an interrupted export has finished is kept, if it is what this one would write. */
  private void writeWeights(StagedFolder folder, WeightFile file) throws IOException {
    Path path = folder.path(file.name());
    boolean claimed = folder.finishedBefore(file.name()).isPresent();
    if (claimed && file.isAt(pack, path)) {
      progress.advance(file.bytes() - file.header().bytes());
      progress.finished("kept " + file.name());
      return;
    }
    Disk.delete(path);
    try (var out = StreamedFile.create(path, file.bytes())) {
      for (int i = 0; i < file.tensors().size(); i++) {
        out.write(file.header().before(i));
        SourceBytes tensor = file.tensors().get(i);
        if (tensor.isLeaf()) {
          writeLeaf(out, tensor.leaves().getFirst());
        } else {
          tensor.leaves().forEach(this::requireIntact);
          tensor.write(pack, bytes -> append(out, bytes));
        }
      }
      out.write(file.header().before(file.tensors().size()));
      out.finish();
    }
    folder.finished(file.name(), List.of());
    progress.finished((claimed ? "written again " : "written ") + file.name());
  }

  private void writeLeaf(StreamedFile out, IndexRow leaf) throws IOException {
    MemorySegment bytes = pack.bytes(leaf);
    var digests = new Digests();
    for (long at = 0; at < bytes.byteSize(); ) {
      long from = at;
      int count =
          out.fill(
              bytes.byteSize() - at,
              chunk -> chunk.put(bytes.asSlice(from, chunk.remaining()).asByteBuffer()),
              digests::update);
      progress.advance(count);
      at += count;
    }
    requireDigest(leaf, digests.finish());
  }

  private void append(StreamedFile out, ByteBuffer bytes) throws IOException {
    progress.advance(bytes.remaining());
    out.write(bytes);
  }

  private void requireIntact(IndexRow leaf) {
    requireDigest(leaf, Digests.of(pack.bytes(leaf)));
  }

  private void requireDigest(IndexRow leaf, Digests.Result found) {
    if (!found.sha256().equals(leaf.sha256())) {
      throw new CorruptException(
          pack.folder().resolve(leaf.shard()) + ", tensor " + leaf.describe(),
          "SHA-256 " + leaf.sha256(),
          found.sha256(),
          "the weights were altered or damaged; restore the package or convert again");
    }
  }

  /** The checkpoint's files that are no weights; headers of weight files are ours. */
  private static List<String> companions(Manifest manifest) {
    List<String> headers =
        manifest.provenance().shards().stream().map(shard -> shard.file() + ".header").toList();
    return manifest.files().stream()
        .map(Manifest.OtherFile::path)
        .filter(path -> path.startsWith(PackagePaths.SOURCE))
        .map(path -> path.substring(PackagePaths.SOURCE.length()))
        .filter(name -> !headers.contains(name))
        .toList();
  }

  /** Which file holds which tensor now, and how many bytes there are. */
  private byte[] index(ObjectNode index) {
    Set<String> held = new HashSet<>();
    long total = 0;
    for (WeightFile file : files) {
      for (SourceBytes tensor : file.tensors()) {
        held.add(file.name() + "/" + tensor.name());
        total += tensor.bytes();
      }
    }
    ObjectNode map = StrictJson.mapper(false).createObjectNode();
    JsonNode before = index.path("weight_map");
    for (WeightFile file : files) {
      for (SourceBytes tensor : file.tensors()) {
        // Of several copies the index reads one, which is still there if any is.
        String read = before.path(tensor.name()).asString(file.name());
        if (read.equals(file.name()) || !held.contains(read + "/" + tensor.name())) {
          map.put(tensor.name(), file.name());
        }
      }
    }
    index.set("weight_map", map);
    if (index.path("metadata") instanceof ObjectNode metadata) {
      metadata.put("total_size", total);
    }
    return print(index);
  }

  /** The config of what the weights now are: their element type, and the layers that are left. */
  private byte[] config(ObjectNode config) {
    Manifest.Provenance provenance = pack.manifest().provenance();
    Optional<Family> family = Families.named(provenance.family());
    Optional<ObjectNode> within =
        family
            .filter(f -> f.composite() != null)
            .map(f -> config.get(Composite.TEXT))
            .filter(ObjectNode.class::isInstance)
            .map(ObjectNode.class::cast);
    ObjectNode own = within.orElse(config);
    Manifest.Cast cast = provenance.cast();
    if (cast != null) {
      String name = cast.dtype() == Dtype.BF16 ? "bfloat16" : "float32";
      state(config, name, within.isEmpty());
      within.ifPresent(object -> state(object, name, true));
    }
    String key = family.flatMap(Family::predictionKey).orElse(null);
    if (key != null && provenance.prediction() == Manifest.PredictionLayers.DROPPED) {
      own.put(key, 0);
    }
    return print(config);
  }

  /** States the element type, if it must be or is stated, and no quantisation. */
  private static void state(ObjectNode config, String name, boolean must) {
    config.remove("quantization_config");
    // transformers 5 spells it dtype, and torch_dtype before; some checkpoints have both.
    if (config.has("dtype")) {
      config.put("dtype", name);
    }
    if (config.has("torch_dtype") || (must && !config.has("dtype"))) {
      config.put("torch_dtype", name);
    }
  }

  private static byte[] print(ObjectNode object) {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsBytes(object);
  }
}
