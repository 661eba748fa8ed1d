package dev.moxie.format.pack;

import dev.moxie.format.encoding.Int8Group;
import dev.moxie.format.file.StagedFolder;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pickle.PickleBytes;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** Packages whose source is pickles: SPEC.md, section 1. */
final class PickledVectors {
  private static final Int8Group ENCODING = new Int8Group(3);
  private static final Architecture ARCHITECTURE = TinyPackage.architecture(3, 4, 6);

  private PickledVectors() {}

  static void write(ConformanceVectors v) throws IOException {
    v.valid(
        "source-of-pickles",
        "a checkpoint of pickles, experts in int8 with scales in the files of their numbers",
        PickledVectors::write);
    broken(v, "pickle-that-imports", "a pickle has another name to import", "numpy.loadtxt")
        .by(edited("ndarray", "loadtxt"));
    broken(v, "pickle-that-runs", "a pickle has an opcode that no array needs", "INST")
        .by(edited("(K\u0001", "iK\u0001"));
    broken(v, "pickle-of-other-numbers", "a pickle has doubles", "dtype f4")
        .by(edited("\u008c\u0002f4", "\u008c\u0002f8"));
    broken(v, "pickle-of-more-bytes", "a pickle has another extent", "bytes for F32")
        .by(edited("K\u0003K\u0004\u0086", "K\u0003K\u0003\u0086"));
  }

  private static ConformanceVectors.Broken broken(
      ConformanceVectors v, String name, String breaks, String says) {
    return v.broken(name, "I18", breaks, says).at("read").in(PickledVectors::write);
  }

  private static ConformanceVectors.Step edited(String from, String to) {
    return folder ->
        Tampering.file(
            folder,
            PackagePaths.headerOf(Objects.requireNonNull(names().get("layers.0.router"))),
            bytes ->
                Tampering.replaced(new String(bytes, StandardCharsets.ISO_8859_1), from, to)
                    .getBytes(StandardCharsets.ISO_8859_1));
  }

  private static List<ShardLayout.Item> items(TensorSpec spec) {
    return spec.stack() == null
        ? List.of(new ShardLayout.Item(spec, Dtype.F32))
        : List.of(
            new ShardLayout.Item(ENCODING.stored(spec), Dtype.I8, ENCODING),
            new ShardLayout.Item(ENCODING.scales(spec), Dtype.BF16));
  }

  /** The files of parameters, by name. */
  private static Map<String, PickleBytes> files() {
    Map<String, PickleBytes> files = new TreeMap<>();
    for (TensorSpec spec : Tensors.of(ARCHITECTURE)) {
      for (TensorSpec.Leaf leaf : spec.leaves()) {
        files.put(
            path(leaf),
            spec.stack() == null
                ? PickleBytes.plain(false, dims(leaf.shape()))
                : PickleBytes.quantised(
                    false, dims(leaf.shape()), dims(ENCODING.grid(leaf.shape()))));
      }
    }
    return files;
  }

  /** What files are called, by parameter. */
  private static Map<String, String> names() {
    Map<String, String> names = new TreeMap<>();
    files().keySet().forEach(path -> names.put(path, "tensor%05d_000".formatted(names.size())));
    return names;
  }

  private static int[] dims(Shape shape) {
    return shape.dims().stream().mapToInt(Long::intValue).toArray();
  }

  private static String path(TensorSpec.Leaf leaf) {
    return leaf.source().replaceFirst("\\.(weight|scale)$", "");
  }

  private static void write(Path target) {
    Map<String, PickleBytes> files = files();
    Map<String, String> names = names();
    List<ShardLayout> shards =
        PackageLayout.of(
            Tensors.of(ARCHITECTURE).stream().flatMap(spec -> items(spec).stream()).toList(),
            Manifest.Layout.PLAIN);
    Set<String> own = new TreeSet<>(Set.of("source/config.json"));
    names.values().forEach(name -> own.add(PackagePaths.headerOf(name)));
    shards.forEach(shard -> own.add(shard.file()));
    try (PackageWriter writer =
        PackageWriter.create(target, false, new StagedFolder.Job(Map.of(), own))) {
      writer.writeFile("source/config.json", "{}\n".getBytes(StandardCharsets.UTF_8));
      for (ShardLayout shard : shards) {
        writer.writeShard(shard, origins(shard, names), (tensor, leaf) -> TinyPackage.bytes(leaf));
      }
      List<Manifest.SourceShard> sources = new ArrayList<>();
      files.forEach(
          (path, pickle) -> {
            String name = names.get(path);
            writer.writeFile(PackagePaths.headerOf(name), pickle.toBytes());
            sources.add(new Manifest.SourceShard(name, pickle.fileBytes()));
          });
      writer.commit(
          new Manifest.Producer("tiny", "1"),
          ARCHITECTURE,
          Manifest.Layout.PLAIN,
          new Manifest.Provenance(
              "tiny",
              sources,
              List.of(),
              List.of(),
              Manifest.PredictionLayers.NONE,
              null,
              null,
              null,
              null));
    }
  }

  private static List<PackageWriter.Origin> origins(ShardLayout shard, Map<String, String> names) {
    return shard.tensors().stream()
        .map(ShardLayout.Placed::spec)
        .flatMap(spec -> spec.leaves().stream())
        .filter(leaf -> leaf.tensor().role() != Role.PADDING)
        .map(
            leaf -> {
              String file = names.get(path(leaf));
              String ending = leaf.source().endsWith(".scale") ? ".scales" : ".weight";
              return new PackageWriter.Origin(file, file + ending, null, IndexRow.COPY, null);
            })
        .toList();
  }
}
