package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.pack.PackagePaths;
import dev.moxie.format.pack.PackageWriter;
import dev.moxie.format.pack.ShardLayout;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/**
 * The same tensors in other files. Every leaf keeps its bytes, its digest and its origin, so the
 * result is the package that a conversion to the new layout would have made.
 */
public final class Resharding {
  private final Map<String, List<IndexRow>> leaves;
  private final List<ShardLayout.Item> items = new ArrayList<>();
  private final Map<String, List<ConversionPlan.Piece>> pieces = new HashMap<>();

  private Resharding(MoxiePackage pack) {
    this.leaves =
        pack.rows().stream()
            .filter(IndexRow::isLeaf)
            .collect(Collectors.groupingBy(IndexRow::name));
  }

  /**
   * Plans a package of another layout.
   *
   * @throws UsageException if there are more ranks than experts in a layer
   */
  public static PackageContents plan(MoxiePackage pack, Manifest.Layout layout) {
    var resharding = new Resharding(pack);
    Tensors.of(pack.architecture()).stream()
        .filter(spec -> resharding.leaves.containsKey(spec.name()))
        .forEach(resharding::add);
    resharding.addOpaque(pack.rows());
    Map<String, Supplier<byte[]>> files = new TreeMap<>();
    for (Manifest.OtherFile file : pack.manifest().files()) {
      if (file.path().startsWith(PackagePaths.SOURCE)) {
        String name = file.path().substring(PackagePaths.SOURCE.length());
        files.put(file.path(), () -> pack.sourceBytes(name).orElseThrow());
      }
    }
    return new PackageContents(
        pack.folder(),
        Planner.shards(resharding.items, layout, resharding.pieces),
        files,
        pack.architecture(),
        layout,
        pack.manifest().provenance(),
        () -> Map.of("the package", "one with a manifest of SHA-256 " + pack.manifestSha256()),
        List.of());
  }

  private void add(TensorSpec spec) {
    List<IndexRow> rows = Objects.requireNonNull(leaves.get(spec.name()));
    Encoding encoding = rows.getFirst().encoding();
    TensorSpec stored = encoding instanceof BlockScaled scaled ? scaled.stored(spec) : spec;
    items.add(new ShardLayout.Item(stored, rows.getFirst().dtype(), encoding));
    pieces.put(spec.name(), rows.stream().map(Resharding::piece).toList());
    if (encoding instanceof BlockScaled scaled) {
      add(scaled.scales(spec));
    }
  }

  /** In the order of a conversion: by name. */
  private void addOpaque(List<IndexRow> rows) {
    rows.stream()
        .filter(row -> row.role() == Role.OPAQUE)
        .sorted(Comparator.comparing(IndexRow::name))
        .forEach(row -> add(new TensorSpec(row.name(), row.role(), null, row.shape(), null)));
  }

  private static ConversionPlan.Piece piece(IndexRow row) {
    return new ConversionPlan.Piece(
        Place.of(
            new SourceTensor(
                row.shard(), row.describe(), row.dtype(), row.shape(), row.offset(), row.bytes())),
        new Transform.Copy(),
        new PackageWriter.Origin(
            Objects.requireNonNull(row.sourceFile()),
            Objects.requireNonNull(row.sourceTensor()),
            row.view(),
            Objects.requireNonNull(row.transform()),
            row.sha256()));
  }
}
