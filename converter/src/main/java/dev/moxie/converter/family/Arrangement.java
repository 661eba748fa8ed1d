package dev.moxie.converter.family;

import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.TensorSpec.Leaf;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.View;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** How a tensor of a checkpoint arranges what a package has as leaves. */
public sealed interface Arrangement {
  /** A tensor for each leaf, in its shape. */
  Arrangement ITSELF = new Itself();

  /** One projection of all experts, expert first. */
  Arrangement STACKED = Axes.of("e r c");

  /** Gate and up of all experts, of each expert the gate rows, then the up rows. */
  Arrangement HALVES = Axes.of("e (p r) c");

  /** Gate and up of all experts, whose rows alternate. */
  Arrangement ALTERNATING = Axes.of("e (r p) c");

  /** One projection of all experts, each transposed. */
  Arrangement STACKED_TRANSPOSED = Axes.of("e c r");

  /** Gate and up of all experts, transposed: of each row the gate half, then the up half. */
  Arrangement HALVES_TRANSPOSED = Axes.of("e c (p r)");

  /** Gate and up of all experts, transposed, whose columns alternate. */
  Arrangement ALTERNATING_TRANSPOSED = Axes.of("e c (r p)");

  /** A matrix whose columns come before its rows. */
  Arrangement TRANSPOSED = Axes.of("c r");

  /** One projection of all experts, the rows of all one below the other. */
  Arrangement FLAT = Axes.of("(e r) c");

  /** Likewise, each transposed. */
  Arrangement FLAT_TRANSPOSED = Axes.of("(e c) r");

  /** One bias of all experts. */
  Arrangement BIASES = Axes.of("e r");

  /** Gate and up biases of all experts, which alternate. */
  Arrangement ALTERNATING_BIAS = Axes.of("e (r p)");

  /** What a convolution multiplies tokens with, channel by channel. */
  Arrangement TAPS = Axes.of("r 1 c");

  /** A vector as a matrix of one row. */
  Arrangement ROW = Axes.of("1 r");

  /** A vector on the third of four axes. */
  Arrangement THIRD = Axes.of("1 1 r 1");

  /** Matrices one below the other, in this order, by what their names have after the layer. */
  static Arrangement joined(List<String> canonical) {
    return new Joined(List.copyOf(canonical));
  }

  /**
   * Matrices that lie one below the other in the leaf, and in the tensor each by itself.
   *
   * @param counted a canonical tensor within the layer that has a row for each
   */
  static Arrangement apart(String counted) {
    return new Apart(counted);
  }

  /**
   * Where a leaf lies.
   *
   * @param tensor the checkpoint's
   * @param shapes of other canonical tensors, stored like this one
   */
  Source locate(String tensor, Leaf leaf, Function<String, Shape> shapes);

  /**
   * Which outputs of a linear map, or of one for each expert, a matrix is.
   *
   * @param expert whose map it is; 0 where there is one map alone
   * @param experts that have a map each; 1 where there is one map alone
   * @param first of the map's outputs that is the leaf's first row
   * @param step from one row to the next
   * @param count of the map's outputs
   * @param transposed whether the tensor has a map's inputs before its outputs
   */
  record Outputs(int expert, int experts, long first, long step, long count, boolean transposed) {}

  /**
   * Which outputs a leaf is; empty if the tensor is no linear map, nor one for each expert.
   *
   * @param shapes of other canonical tensors
   */
  Optional<Outputs> outputs(Leaf leaf, Function<String, Shape> shapes);

  /** The tensor is the leaf. */
  record Itself() implements Arrangement {
    @Override
    public Source locate(String tensor, Leaf leaf, Function<String, Shape> shapes) {
      return new Source(tensor, leaf.shape(), null);
    }

    @Override
    public Optional<Outputs> outputs(Leaf leaf, Function<String, Shape> shapes) {
      return leaf.shape().rank() == 2
          ? Optional.of(new Outputs(0, 1, 0, 1, leaf.shape().dim(0), false))
          : Optional.empty();
    }
  }

  /**
   * Axes in the order of the tensor, several in brackets where they share an extent: {@code e} the
   * expert, {@code p} the projection of those in a stack, {@code r} and {@code c} rows and columns
   * of the leaf, {@code 1} an extent of one.
   */
  record Axes(List<String> extents) implements Arrangement {
    /** Extents divided by blanks. */
    static Axes of(String pattern) {
      List<String> extents = new ArrayList<>();
      for (String part : pattern.split(" (?![^(]*\\))", -1)) {
        extents.add(part.replaceAll("[() ]", ""));
      }
      return new Axes(List.copyOf(extents));
    }

    @Override
    public Source locate(String tensor, Leaf leaf, Function<String, Shape> shapes) {
      Shape shape = leaf.shape();
      long offset = 0;
      long elements = 1;
      Long[] strides = new Long[shape.rank()];
      Long[] dims = new Long[extents.size()];
      for (int i = extents.size() - 1; i >= 0; i--) {
        long before = elements;
        for (char axis : new StringBuilder(extents.get(i)).reverse().toString().toCharArray()) {
          switch (axis) {
            case 'e' -> {
              offset += Objects.requireNonNull(leaf.expert()) * elements;
              elements = Math.multiplyExact(elements, stack(leaf).experts());
            }
            case 'p' -> {
              List<?> all = stack(leaf).projections();
              offset += all.indexOf(leaf.projection()) * elements;
              elements = Math.multiplyExact(elements, all.size());
            }
            case 'r' -> {
              strides[0] = elements;
              elements = Math.multiplyExact(elements, shape.dim(0));
            }
            case 'c' -> {
              strides[1] = elements;
              elements = Math.multiplyExact(elements, shape.dim(1));
            }
            case '1' -> {}
            default -> throw new IllegalArgumentException("axis " + axis);
          }
        }
        dims[i] = elements / before;
      }
      View view = View.of(offset, shape.dims(), List.of(strides));
      return Source.of(tensor, new Shape(List.of(dims)), view, shape);
    }

    @Override
    public Optional<Outputs> outputs(Leaf leaf, Function<String, Shape> shapes) {
      List<String> map = extents.subList(1, extents.size());
      Optional<String> rows = map.stream().filter(extent -> extent.contains("r")).findFirst();
      if (!extents.getFirst().equals("e") || map.size() != 2 || !map.contains("c")) {
        return Optional.empty();
      }
      long outputs = leaf.shape().dim(0);
      int projections = rows.orElseThrow().equals("r") ? 1 : stack(leaf).projections().size();
      long own = projections == 1 ? 0 : stack(leaf).projections().indexOf(leaf.projection());
      boolean apart = rows.get().equals("pr");
      return Optional.of(
          new Outputs(
              Objects.requireNonNull(leaf.expert()),
              stack(leaf).experts(),
              apart ? own * outputs : own,
              apart ? 1 : projections,
              projections * outputs,
              map.getFirst().equals("c")));
    }

    private static TensorSpec.Stack stack(Leaf leaf) {
      TensorSpec.@Nullable Stack stack = leaf.tensor().stack();
      return Objects.requireNonNull(stack, "only a stack has experts and projections");
    }
  }

  /** Matrices by themselves that the leaf has one below the other. */
  record Apart(String counted) implements Arrangement {
    @Override
    public Source locate(String tensor, Leaf leaf, Function<String, Shape> shapes) {
      Shape whole = leaf.shape();
      long count = shapes.apply("layers." + leaf.tensor().layer() + "." + counted).dim(0);
      View view = View.run(0, whole.elements());
      return Source.of(tensor, Shape.of(count, whole.dim(0) / count, whole.dim(1)), view, whole);
    }

    /** Of several maps. */
    @Override
    public Optional<Outputs> outputs(Leaf leaf, Function<String, Shape> shapes) {
      return Optional.empty();
    }
  }

  /** Matrices of the same columns, one below the other. */
  record Joined(List<String> canonical) implements Arrangement {
    @Override
    public Source locate(String tensor, Leaf leaf, Function<String, Shape> shapes) {
      Outputs rows = outputs(leaf, shapes).orElseThrow();
      List<Long> dims = new ArrayList<>(leaf.shape().dims());
      dims.set(0, rows.count());
      long columns = leaf.shape().elements() / leaf.shape().dim(0);
      View view = View.run(rows.first() * columns, leaf.shape().elements());
      return Source.of(tensor, new Shape(dims), view, leaf.shape());
    }

    @Override
    public Optional<Outputs> outputs(Leaf leaf, Function<String, Shape> shapes) {
      String layer = "layers." + leaf.tensor().layer() + ".";
      long rows = 0;
      long first = 0;
      for (String other : canonical) {
        String name = layer + other;
        first = name.equals(leaf.tensor().name()) ? rows : first;
        rows = Math.addExact(rows, shapes.apply(name).dim(0));
      }
      return Optional.of(new Outputs(0, 1, first, 1, rows, false));
    }
  }
}
