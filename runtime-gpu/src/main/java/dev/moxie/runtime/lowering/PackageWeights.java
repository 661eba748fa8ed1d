package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.model.Projection;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Stored tensors as values of a graph: external data, followed by whatever brings them to the
 * compute dtype. ONNX Runtime folds those nodes when it loads the graph.
 */
final class PackageWeights implements Weights {
  private final MoxiePackage pack;
  private final Dtype compute;
  private final boolean binds;
  private final Graph graph;

  PackageWeights(MoxiePackage pack, Target target, Graph graph) {
    this.pack = pack;
    this.compute = target.compute();
    this.binds = target.binds();
    this.graph = graph;
  }

  @Override
  public String of(Leaf leaf) {
    IndexRow row = pack.tensor(leaf.tensor().name());
    return whole("", row, pack.scales(row).orElse(null), row, 1);
  }

  @Override
  public String matrix(Leaf leaf) {
    return binds ? bound(leaf.tensor()) : of(leaf);
  }

  @Override
  public String stack(TensorSpec tensor) {
    return isBound(tensor) ? bound(tensor) : joined(tensor);
  }

  @Override
  public String alternating(TensorSpec tensor) {
    if (isBound(tensor)) {
      return bound(tensor);
    }
    TensorSpec.Stack stack = Objects.requireNonNull(tensor.stack(), tensor.name());
    Shape each = stack.each();
    long columns = each.rank() == 1 ? 1 : each.dim(1);
    String apart = graph.reshape(joined(tensor), stack.experts(), 2, each.dim(0), columns);
    return graph.reshape(graph.transpose(apart, 0, 2, 1, 3), tensor.shape());
  }

  /** Biases are small, and added by the operator as they are. */
  private boolean isBound(TensorSpec tensor) {
    return binds && tensor.each().rank() > 1;
  }

  private String bound(TensorSpec tensor) {
    return graph.input(tensor.name(), compute, tensor.shape().dims().toArray());
  }

  /** Where a stack is spread over files, its parts joined. */
  private String joined(TensorSpec tensor) {
    String name = tensor.name();
    List<Projection> projections = Objects.requireNonNull(tensor.stack(), name).projections();
    int count = projections.size();
    IndexRow matrix = pack.slice(name, 0, projections.getFirst());
    List<IndexRow> rows = pack.stack(name);
    List<String> parts = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      IndexRow row = rows.get(i);
      IndexRow scales =
          row.encoding() instanceof BlockScaled
              ? pack.stack(BlockScaled.scaleName(name)).get(i)
              : null;
      String suffix = rows.size() == 1 ? "" : "." + i;
      parts.add(whole(suffix, row, scales, matrix, row.shape().dim(0) * count));
    }
    return parts.size() == 1 ? parts.getFirst() : graph.node("Concat", parts, attribute("axis", 0));
  }

  private String whole(
      String suffix, IndexRow row, @Nullable IndexRow scales, IndexRow matrix, long matrices) {
    String values = stored(row.name() + suffix, row, row.shape().dims(), row.bytes());
    if (scales == null || !(row.encoding() instanceof BlockScaled encoding)) {
      return cast(values, row.dtype());
    }
    String grid = stored(scales.name() + suffix, scales, scales.shape().dims(), scales.bytes());
    return new Blocks(graph, encoding, matrices, MoxiePackage.matrix(matrix))
        .dequantised(values, grid, scales.dtype(), MoxiePackage.matrix(row), compute);
  }

  private String cast(String x, Dtype from) {
    return graph.cast(x, from, compute);
  }

  @Override
  public String inF32(Leaf leaf) {
    IndexRow row = pack.tensor(leaf.tensor().name());
    String vector = stored(row.name(), row, row.shape().dims(), row.bytes());
    return graph.cast(vector, row.dtype(), Dtype.F32);
  }

  @Override
  public String gathered(Leaf table, String ids) {
    if (binds) {
      return graph.node("Gather", List.of(bound(table.tensor()), ids));
    }
    IndexRow row = pack.tensor(table.tensor().name());
    if (row.encoding() instanceof BlockScaled) {
      return graph.node("Gather", List.of(of(table), ids));
    }
    String stored = stored(row.name(), row, row.shape().dims(), row.bytes());
    return cast(graph.node("Gather", List.of(stored, ids)), row.dtype());
  }

  private String stored(String name, IndexRow row, List<Long> shape, long bytes) {
    return switch (row.dtype()) {
      // ONNX Runtime has no powers of two as elements; their bytes are read as numbers.
      case F8_E8M0 -> graph.external(name, Dtype.U8, shape, row.shard(), row.offset(), bytes);
      // Codes of four bits, of which it takes bytes apart.
      case I32 -> graph.external(name, Dtype.U8, List.of(bytes), row.shard(), row.offset(), bytes);
      default -> graph.external(name, row.dtype(), shape, row.shard(), row.offset(), bytes);
    };
  }
}
