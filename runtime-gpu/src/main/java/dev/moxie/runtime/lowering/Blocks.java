package dev.moxie.runtime.lowering;

import static dev.moxie.runtime.lowering.Graph.attribute;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Fp8Block;
import dev.moxie.format.encoding.Fp8Channel;
import dev.moxie.format.encoding.Int4Block;
import dev.moxie.format.encoding.Int4Group;
import dev.moxie.format.encoding.Int8Channel;
import dev.moxie.format.encoding.Int8Group;
import dev.moxie.format.encoding.Mxfp4;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.List;

/** Matrices of scaled numbers, one after the other, decoded in a graph. */
final class Blocks {
  private final Graph graph;
  private final BlockScaled encoding;
  private final long matrices;
  private final long rows;
  private final long columns;

  /**
   * The matrices.
   *
   * @param matrices how many lie one after the other
   * @param matrix rows and columns of one
   */
  Blocks(Graph graph, BlockScaled encoding, long matrices, Shape matrix) {
    this.graph = graph;
    this.encoding = encoding;
    this.matrices = matrices;
    this.rows = matrix.dim(0);
    this.columns = matrix.dim(1);
  }

  /**
   * Numbers times scales: each scale is repeated over its block, and what lies over the edge is cut
   * off.
   *
   * @param shape of the result
   */
  String dequantised(String values, String scales, Dtype scaleDtype, Shape shape, Dtype compute) {
    long blockRows = encoding.blockRows();
    long blockColumns = Math.min(columns, encoding.blockColumns());
    long down = Math.ceilDiv(rows, blockRows);
    long across = Math.ceilDiv(columns, blockColumns);
    String grid = graph.reshape(inF32(scales, scaleDtype), matrices, down, 1, across, 1);
    String repeated =
        graph.node(
            "Expand", List.of(grid, graph.longs(matrices, down, blockRows, across, blockColumns)));
    String joined = graph.reshape(repeated, matrices, down * blockRows, across * blockColumns);
    String cut =
        graph.node(
            "Slice",
            List.of(joined, graph.longs(0, 0), graph.longs(rows, columns), graph.longs(1, 2)));
    String product = graph.node("Mul", List.of(numbers(values), cut));
    return graph.cast(graph.reshape(product, shape), Dtype.F32, compute);
  }

  /** The numbers without their scales, [matrices, rows, columns]. */
  private String numbers(String values) {
    return switch (encoding) {
      case Fp8Block blocks -> oneToAValue(values);
      case Fp8Channel channels -> oneToAValue(values);
      case Int8Channel channels -> oneToAValue(values);
      case Int8Group groups -> oneToAValue(values);
      case Mxfp4 blocks -> ofCodes(values, Mxfp4.numbers());
      case Int4Block blocks -> ofCodes(values, Int4Block.numbers());
      case Int4Group groups -> ofCodes(values, Int4Block.numbers());
    };
  }

  /** The numbers of codes of four bits. */
  private String ofCodes(String values, float[] numbers) {
    String indices = graph.cast(codes(values), Dtype.U8, Dtype.I64);
    return graph.node("Gather", List.of(graph.floats(numbers), indices));
  }

  /** One to a stored value. */
  private String oneToAValue(String values) {
    return graph.cast(graph.reshape(values, matrices, rows, columns), encoding.dtype(), Dtype.F32);
  }

  /** Codes of four bits, two to a byte, the first in the low bits. */
  private String codes(String values) {
    String bytes = graph.reshape(values, matrices, rows, columns / 2, 1);
    String low = graph.node("BitwiseAnd", List.of(bytes, graph.octet(15)));
    String high =
        graph.node("BitShift", List.of(bytes, graph.octet(4)), attribute("direction", "RIGHT"));
    return graph.reshape(graph.concat(low, high, 3), matrices, rows, columns);
  }

  private String inF32(String scales, Dtype dtype) {
    return switch (dtype) {
      case U8, F8_E8M0 -> {
        String codes = graph.cast(scales, Dtype.U8, Dtype.F32);
        String exponents = graph.node("Sub", List.of(codes, graph.number(127)));
        yield graph.node("Pow", List.of(graph.number(2), exponents));
      }
      default -> graph.cast(scales, dtype, Dtype.F32);
    };
  }
}
