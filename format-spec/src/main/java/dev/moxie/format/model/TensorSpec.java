package dev.moxie.format.model;

import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A canonical tensor: one that an architecture calls for, under the name and in the shape that
 * every package gives it.
 *
 * @param layer null outside the decoder layers
 * @param stack null unless the tensor is an expert stack
 */
public record TensorSpec(
    String name, Role role, @Nullable Integer layer, Shape shape, @Nullable Stack stack) {

  /**
   * How an expert stack is made up: experts one after the other, within an expert the projections
   * one after the other, row-major.
   *
   * @param firstExpert 0 unless the stack is a part of a larger one
   * @param experts how many, from the first on
   * @param each the shape of one projection: a matrix [rows, columns], or a vector of biases [rows]
   */
  public record Stack(int firstExpert, int experts, List<Projection> projections, Shape each) {
    /** All experts one below the other, [experts, projections · rows, columns]. */
    public Shape shape() {
      long rows = projections.size() * each.dim(0);
      return each.rank() == 1 ? Shape.of(experts, rows) : Shape.of(experts, rows, each.dim(1));
    }
  }

  /**
   * The smallest piece that comes from one source tensor: a whole tensor, or one projection of one
   * expert.
   *
   * @param tensor that it is a piece of
   * @param position how many pieces of the same size lie before it in the tensor
   * @param expert null for a whole tensor
   * @param projection null for a whole tensor
   */
  public record Leaf(
      TensorSpec tensor,
      int position,
      @Nullable Integer expert,
      @Nullable Projection projection,
      Shape shape) {

    /** Its canonical name, which a family translates into the checkpoint's. */
    public String source() {
      if (projection == null) {
        return tensor.name();
      }
      String ending = tensor.name().substring(tensor.name().lastIndexOf('.'));
      return "layers." + tensor.layer() + ".experts." + expert + "." + projection.id() + ending;
    }
  }

  /** A tensor of a checkpoint that the architecture does not call for, under its own name. */
  public static TensorSpec opaque(String file, String tensor, Shape shape) {
    return new TensorSpec("opaque." + file + "/" + tensor, Role.OPAQUE, null, shape, null);
  }

  /** The part of a stack that holds some of its experts, under the same name. */
  public TensorSpec part(int firstExpert, int experts) {
    Stack whole = Objects.requireNonNull(stack, "only a stack has parts");
    var part = new Stack(firstExpert, experts, whole.projections(), whole.each());
    return new TensorSpec(name, role, layer, part.shape(), part);
  }

  /** The shape of a leaf. */
  public Shape each() {
    return stack == null ? shape : stack.each();
  }

  /** The tensor as one leaf; not for stacks. */
  public Leaf whole() {
    if (stack != null) {
      throw new IllegalStateException(name + " is a stack");
    }
    return new Leaf(this, 0, null, null, shape);
  }

  /** One projection of one expert of a stack. */
  public Leaf leaf(int expert, Projection projection) {
    Stack whole = Objects.requireNonNull(stack, "only a stack has slices");
    List<Projection> projections = whole.projections();
    int position =
        (expert - whole.firstExpert()) * projections.size() + projections.indexOf(projection);
    return new Leaf(this, position, expert, projection, whole.each());
  }

  /** The leaves, in the order of their bytes. */
  public List<Leaf> leaves() {
    if (stack == null) {
      return List.of(whole());
    }
    List<Leaf> leaves = new ArrayList<>(stack.experts() * stack.projections().size());
    int first = stack.firstExpert();
    for (int expert = first; expert < first + stack.experts(); expert++) {
      for (Projection projection : stack.projections()) {
        leaves.add(leaf(expert, projection));
      }
    }
    return leaves;
  }
}
