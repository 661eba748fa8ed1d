package dev.moxie.verifier.diff;

import dev.moxie.converter.checkpoint.Recomputed;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** A package. */
final class PackageSide implements Side {
  private final Path path;
  private final MoxiePackage pack;

  private PackageSide(Path path, MoxiePackage pack) {
    this.path = path;
    this.pack = pack;
  }

  /** Opens a package, and every shard of it: a lost one is no difference, it is damage. */
  static PackageSide open(Path path) {
    MoxiePackage pack = MoxiePackage.open(path);
    try {
      pack.manifest().shards().forEach(shard -> pack.shard(shard.file()));
    } catch (RuntimeException e) {
      pack.close();
      throw e;
    }
    return new PackageSide(path, pack);
  }

  @Override
  public Diff.Model model() {
    List<Manifest.Shard> shards = pack.manifest().shards();
    return new Diff.Model(
        path.toString(),
        "package",
        pack.manifest().provenance().family(),
        shards.size(),
        Math.toIntExact(
            pack.rows().stream()
                .filter(row -> row.kind() != IndexRow.Kind.SLICE && row.role() != Role.PADDING)
                .count()),
        shards.stream().mapToLong(Manifest.Shard::bytes).sum());
  }

  @Override
  public Manifest manifest() {
    return pack.manifest();
  }

  @Override
  public Architecture architecture() {
    return pack.architecture();
  }

  @Override
  public Map<String, Leaf> canonical() {
    Map<String, Leaf> leaves = new LinkedHashMap<>();
    for (IndexRow row : pack.rows()) {
      if (isWeight(row)) {
        leaves.put(row.describe(), leaf(row, pack.scales(row).orElse(null)));
      }
    }
    return leaves;
  }

  private Leaf leaf(IndexRow row, @Nullable IndexRow scales) {
    return new Leaf(
        row.describe(),
        row.name(),
        row.expert(),
        row.projection() == null ? "" : row.projection().id(),
        row.dtype(),
        row.encoding(),
        MoxiePackage.matrix(row),
        extent(row),
        row.sha256(),
        scales == null ? null : leaf(scales, null));
  }

  private Extent extent(IndexRow row) {
    return new Extent(pack.folder().resolve(row.shard()), row.offset(), row.bytes(), null);
  }

  @Override
  public Map<String, Leaf> own() {
    Map<String, Leaf> leaves = new LinkedHashMap<>();
    for (IndexRow row : pack.rows()) {
      if (isWeight(row)) {
        Leaf leaf =
            OwnNames.tensor(
                Objects.requireNonNull(row.sourceTensor(), "a leaf has a source"),
                row.dtype(),
                row.encoding(),
                MoxiePackage.matrix(row),
                extent(row),
                row.sha256(),
                pack.scales(row).map(scales -> leaf(scales, null)).orElse(null));
        OwnNames.put(leaves, leaf);
      }
    }
    for (IndexRow row : pack.rows()) {
      String name = row.sourceTensor();
      if (row.role() == Role.OPAQUE && name != null && !Recomputed.is(name, row.shape())) {
        // A second head; copies that an index supersedes are those of a name that is there.
        leaves.putIfAbsent(
            name,
            OwnNames.tensor(
                name, row.dtype(), row.encoding(), row.shape(), extent(row), row.sha256(), null));
      }
    }
    return OwnNames.of(leaves);
  }

  private static boolean isWeight(IndexRow row) {
    return row.isLeaf()
        && row.role() != Role.PADDING
        && row.role() != Role.SCALE
        && row.role() != Role.OPAQUE;
  }

  @Override
  public Set<String> companions() {
    Set<String> names = new TreeSet<>();
    for (Manifest.OtherFile file : pack.manifest().files()) {
      if (file.path().startsWith(PackagePaths.SOURCE)) {
        names.add(file.path().substring(PackagePaths.SOURCE.length()));
      }
    }
    pack.manifest().provenance().shards().forEach(shard -> names.remove(shard.file() + ".header"));
    return names;
  }

  @Override
  public byte[] companion(String name) {
    return pack.sourceBytes(name).orElseThrow();
  }

  @Override
  public List<String> notCompared() {
    List<String> sentences = new ArrayList<>();
    List<String> ignored = pack.manifest().provenance().ignoredFiles();
    if (!ignored.isEmpty()) {
      sentences.add("files that the conversion to " + path + " left behind: " + ignored);
    }
    long opaque = pack.rows().stream().filter(row -> row.role() == Role.OPAQUE).count();
    Side.opaque(opaque, path.toString()).ifPresent(sentences::add);
    return sentences;
  }

  @Override
  public void close() {
    pack.close();
  }
}
