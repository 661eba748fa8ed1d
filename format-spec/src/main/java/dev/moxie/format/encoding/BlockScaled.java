package dev.moxie.format.encoding;

import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Matrices of small numbers with one scale for every block of rows and columns, in a tensor of its
 * own; the last block of a row or column may be smaller. An element is the product of number and
 * scale, rounded once to float32, to nearest, ties to even, so that it lies within half a unit in
 * the last place of the exact product.
 */
public sealed interface BlockScaled extends Encoding permits Fp8Block, RowScaled, Quantised {
  /** What names of parameters end with, and names of the values that they belong to. */
  Map<String, String> IN_CHECKPOINTS =
      Map.of(
          Fp8Block.SCALES_END, "",
          Mxfp4.SCALES_END, Mxfp4.VALUES_END,
          Fp8Channel.SCALES_END, ".weight",
          Int4Group.VALUES_END, ".weight",
          Int4Group.SHAPE_END, ".weight",
          Int8Group.SCALES_END, ".weight");

  /** Dtype of the tensor that holds the numbers. */
  Dtype dtype();

  /** What it may be of besides, which means the same. */
  default Set<Dtype> dtypes() {
    return Set.of(dtype());
  }

  /** What scales may be of. */
  Set<Dtype> scaleDtypes();

  /** What a release has its scales in. */
  Dtype usualScales();

  /** Rows of a block. */
  int blockRows();

  /** Columns of a block. */
  int blockColumns();

  /** How many numbers one stored value holds, beside each other in a row. */
  int perValue();

  /** The shapes that a checkpoint's tensor of stored values may have, the usual one first. */
  default List<Shape> inCheckpoints(Shape stored) {
    return List.of(stored);
  }

  /**
   * The name of a checkpoint's tensor of values.
   *
   * @param weight the name of the tensor if its elements were stored one by one
   */
  default String valuesFor(String weight) {
    return weight;
  }

  /**
   * The name of a checkpoint's tensor that states the shape of the matrix.
   *
   * @param values the name of that of the numbers
   * @return empty if no checkpoint has one
   */
  default Optional<String> shapeInCheckpoints(String values) {
    return Optional.empty();
  }

  /**
   * The name of a checkpoint's tensor of scales.
   *
   * @param values the name of that of the numbers
   * @return empty if it is not named like one
   */
  Optional<String> scalesInCheckpoints(String values);

  /** Another name of it, by which a release has it. */
  default Optional<String> otherScalesInCheckpoints(String values) {
    return Optional.empty();
  }

  /** All of its names, the usual one first; none if the tensor of the numbers is not named so. */
  default List<String> scaleNamesInCheckpoints(String values) {
    return Stream.of(scalesInCheckpoints(values), otherScalesInCheckpoints(values))
        .flatMap(Optional::stream)
        .toList();
  }

  /** The matrix that scales of such a name are beside. */
  static Optional<String> matrixBeside(String scales) {
    return renamed(scales, ".scale", ".weight");
  }

  /** The name of scales beside their matrix, as DeepSeek-V4 has them and packages do. */
  static Optional<String> scalesBeside(String values) {
    return renamed(values, ".weight", ".scale");
  }

  /**
   * What a checkpoint's tensor of scales, or of what else belongs to a matrix, would be called if
   * it were the matrix; a name of another kind stays.
   */
  static String valuesInCheckpoints(String name) {
    return IN_CHECKPOINTS.entrySet().stream()
        .flatMap(end -> renamed(name, end.getKey(), end.getValue()).stream())
        .findFirst()
        .orElse(name);
  }

  /** A name with another ending, if it has the one. */
  static Optional<String> renamed(String name, String ending, String other) {
    return name.endsWith(ending)
        ? Optional.of(name.substring(0, name.length() - ending.length()) + other)
        : Optional.empty();
  }

  /** One number, without its scale. */
  float number(MemorySegment values, long index);

  /** Numbers times scales, one for each, as float32. */
  MemorySegment decode(
      ElementBlock block, MemorySegment values, long at, int count, float[] scales);

  /** Whether matrices of this shape can be stored so. */
  default boolean holds(Shape matrix) {
    return matrix.rank() == 2 && matrix.dim(1) % perValue() == 0;
  }

  /** The shape of the tensor that holds the numbers of matrices; [.., rows, columns]. */
  default Shape stored(Shape matrices) {
    return withColumns(matrices, matrices.dim(matrices.rank() - 1) / perValue());
  }

  /** The shape of the matrices whose numbers a tensor holds. */
  default Shape matrices(Shape stored) {
    return withColumns(stored, stored.dim(stored.rank() - 1) * perValue());
  }

  private static Shape withColumns(Shape shape, long columns) {
    List<Long> dims = new ArrayList<>(shape.dims());
    dims.set(dims.size() - 1, columns);
    return new Shape(dims);
  }

  /** The grid of scales of a matrix [rows, columns]. */
  default Shape grid(Shape matrix) {
    if (matrix.rank() != 2) {
      throw new IllegalArgumentException("a tensor of shape " + matrix + " has no blocks");
    }
    return Shape.of(
        Math.ceilDiv(matrix.dim(0), blockRows()), Math.ceilDiv(matrix.dim(1), blockColumns()));
  }

  /** The tensor that holds the numbers of one that an architecture calls for, under its name. */
  default TensorSpec stored(TensorSpec tensor) {
    TensorSpec.@Nullable Stack stack = tensor.stack();
    if (stack == null) {
      return new TensorSpec(
          tensor.name(), tensor.role(), tensor.layer(), stored(tensor.shape()), null);
    }
    return stack(tensor, stack, tensor.name(), tensor.role(), stored(stack.each()));
  }

  /**
   * The tensor that holds the scales. In a stack every projection has a grid of its own, so no
   * block crosses from gate to up.
   *
   * @throws IllegalArgumentException if the tensor is no matrix
   */
  default TensorSpec scales(TensorSpec tensor) {
    String name = scaleName(tensor.name());
    TensorSpec.@Nullable Stack stack = tensor.stack();
    return stack == null
        ? new TensorSpec(name, Role.SCALE, tensor.layer(), grid(tensor.shape()), null)
        : stack(tensor, stack, name, Role.SCALE, grid(stack.each()));
  }

  private static TensorSpec stack(
      TensorSpec like, TensorSpec.Stack stack, String name, Role role, Shape projection) {
    var other =
        new TensorSpec.Stack(stack.firstExpert(), stack.experts(), stack.projections(), projection);
    return new TensorSpec(name, role, like.layer(), other.shape(), other);
  }

  /** The name of the scales of a tensor in a package. */
  static String scaleName(String weight) {
    return scalesBeside(weight).orElse(weight);
  }
}
