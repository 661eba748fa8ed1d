package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.model.Fp8Blocks;
import dev.moxie.format.model.Projection;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.safetensors.Dtype;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Stored tensors as values of a graph: external data, followed by whatever brings them to the
 * compute dtype. ONNX Runtime folds those nodes when it loads the graph.
 */
final class Weights {
  private final MoxiePackage pack;
  private final Dtype compute;
  private final Graph graph;

  Weights(MoxiePackage pack, Dtype compute, Graph graph) {
    this.pack = pack;
    this.compute = compute;
    this.graph = graph;
  }

  /** A tensor, in the compute dtype. */
  String of(String name) {
    IndexRow row = pack.tensor(name);
    return whole("", row, pack.scales(row).orElse(null), row, 1);
  }

  /**
   * A whole stack, in the compute dtype; where it is spread over files, its parts joined.
   *
   * @param first the first projection of an expert
   * @param count projections of an expert
   */
  String stack(String name, Projection first, int count) {
    IndexRow matrix = pack.slice(name, 0, first);
    List<IndexRow> rows = pack.stack(name);
    List<String> parts = new ArrayList<>();
    for (int i = 0; i < rows.size(); i++) {
      IndexRow row = rows.get(i);
      IndexRow scales =
          row.encoding().equals(IndexRow.FP8_BLOCK)
              ? pack.stack(Fp8Blocks.scaleName(name)).get(i)
              : null;
      String suffix = rows.size() == 1 ? "" : "." + i;
      parts.add(whole(suffix, row, scales, matrix, row.shape().dim(0) * count));
    }
    return parts.size() == 1 ? parts.getFirst() : graph.node("Concat", parts, attribute("axis", 0));
  }

  private String whole(
      String suffix, IndexRow row, @Nullable IndexRow scales, IndexRow matrix, long matrices) {
    List<Long> shape = row.shape().dims();
    String values = stored(row.name() + suffix, row, shape, row.bytes());
    if (scales == null) {
      return cast(values, row.dtype());
    }
    String grid = stored(scales.name() + suffix, scales, scales.shape().dims(), scales.bytes());
    return dequantised(values, grid, matrices, matrix.shape().dims(), shape);
  }

  /** One projection of one expert. */
  String of(String stack, int expert, Projection projection) {
    return adjacent(stack, expert, projection, 1);
  }

  /** Gate and up of one expert, one below the other, [2I, H]: they lie next to each other. */
  String gateUp(String stack, int expert) {
    return adjacent(stack, expert, Projection.GATE, 2);
  }

  private String adjacent(String stack, int expert, Projection first, int count) {
    IndexRow row = pack.slice(stack, expert, first);
    List<Long> shape = below(row, count);
    String values = stored(stack + first.id(), row, shape, count * row.bytes());
    if (!row.encoding().equals(IndexRow.FP8_BLOCK)) {
      return cast(values, row.dtype());
    }
    IndexRow scales = pack.slice(Fp8Blocks.scaleName(stack), expert, first);
    String grid =
        stored(
            Fp8Blocks.scaleName(stack) + first.id(),
            scales,
            below(scales, count),
            count * scales.bytes());
    return dequantised(values, grid, count, row.shape().dims(), shape);
  }

  private static List<Long> below(IndexRow row, int count) {
    return List.of(count * row.shape().dim(0), row.shape().dim(1));
  }

  /**
   * Values times scales: each scale is repeated over its block, and what lies over the edge is cut
   * off.
   *
   * @param matrices how many lie one after the other
   * @param matrix rows and columns of one
   * @param shape of the result
   */
  private String dequantised(
      String values, String scales, long matrices, List<Long> matrix, List<Long> shape) {
    long rows = matrix.get(0);
    long columns = matrix.get(1);
    long down = Fp8Blocks.blocks(rows);
    long across = Fp8Blocks.blocks(columns);
    long size = Fp8Blocks.SIZE;
    String wide =
        graph.node(
            "Cast",
            List.of(graph.node("Reshape", List.of(values, graph.longs(matrices, rows, columns)))),
            attribute("to", Graph.type(Dtype.F32)));
    String grid = graph.node("Reshape", List.of(scales, graph.longs(matrices, down, 1, across, 1)));
    String repeated =
        graph.node("Expand", List.of(grid, graph.longs(matrices, down, size, across, size)));
    String joined =
        graph.node("Reshape", List.of(repeated, graph.longs(matrices, down * size, across * size)));
    String cut =
        graph.node(
            "Slice",
            List.of(joined, graph.longs(0, 0), graph.longs(rows, columns), graph.longs(1, 2)));
    String product = graph.node("Mul", List.of(wide, cut));
    long[] extents = shape.stream().mapToLong(Long::longValue).toArray();
    return cast(graph.node("Reshape", List.of(product, graph.longs(extents))), Dtype.F32);
  }

  private String cast(String x, Dtype from) {
    return graph.cast(x, from, compute);
  }

  /** A vector in float32, whatever the rest computes in. */
  String inF32(String name) {
    IndexRow row = pack.tensor(name);
    return graph.cast(stored(name, row, row.shape().dims(), row.bytes()), row.dtype(), Dtype.F32);
  }

  /** Rows of a matrix by index, in the compute dtype. */
  String gathered(String name, String ids) {
    IndexRow row = pack.tensor(name);
    if (row.encoding().equals(IndexRow.FP8_BLOCK)) {
      return graph.node("Gather", List.of(of(name), ids));
    }
    String stored = stored(name, row, row.shape().dims(), row.bytes());
    return cast(graph.node("Gather", List.of(stored, ids)), row.dtype());
  }

  private String stored(String name, IndexRow row, List<Long> shape, long bytes) {
    return graph.external(name, row.dtype(), shape, row.shard(), row.offset(), bytes);
  }
}
