package dev.moxie.converter.family;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.moxie.format.model.Projection;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.Rearrangement;
import dev.moxie.format.view.Tiling;
import dev.moxie.format.view.View;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class ArrangementTest {
  /** Where a tensor has an element of expert e, projection p, row r, column c. */
  private interface Layout {
    int at(int e, int p, int r, int c);
  }

  @Property(tries = 50)
  void everyArrangementIsWhatItsNameSays(
      @ForAll @IntRange(min = 1, max = 5) int e,
      @ForAll @IntRange(min = 1, max = 7) int r,
      @ForAll @IntRange(min = 1, max = 7) int c) {
    Shape both = Shape.of(e, 2L * r, c);
    Shape turned = Shape.of(e, c, 2L * r);
    assertArranged(
        Arrangement.HALVES, 2, both, e, r, c, (x, p, i, j) -> (x * 2 * r + p * r + i) * c + j);
    assertArranged(
        Arrangement.ALTERNATING, 2, both, e, r, c, (x, p, i, j) -> (x * 2 * r + 2 * i + p) * c + j);
    assertArranged(
        Arrangement.HALVES_TRANSPOSED,
        2,
        turned,
        e,
        r,
        c,
        (x, p, i, j) -> (x * c + j) * 2 * r + p * r + i);
    assertArranged(
        Arrangement.ALTERNATING_TRANSPOSED,
        2,
        turned,
        e,
        r,
        c,
        (x, p, i, j) -> (x * c + j) * 2 * r + 2 * i + p);
    assertArranged(
        Arrangement.STACKED, 1, Shape.of(e, r, c), e, r, c, (x, p, i, j) -> (x * r + i) * c + j);
    assertArranged(
        Arrangement.STACKED_TRANSPOSED,
        1,
        Shape.of(e, c, r),
        e,
        r,
        c,
        (x, p, i, j) -> (x * c + j) * r + i);
    assertArranged(
        Arrangement.FLAT,
        1,
        Shape.of((long) e * r, c),
        e,
        r,
        c,
        (x, p, i, j) -> (x * r + i) * c + j);
    assertArranged(
        Arrangement.FLAT_TRANSPOSED,
        1,
        Shape.of((long) e * c, r),
        e,
        r,
        c,
        (x, p, i, j) -> (x * c + j) * r + i);
  }

  /** The leaves tile the tensor, and each of their elements is from where the layout has it. */
  private static void assertArranged(
      Arrangement arrangement,
      int projections,
      Shape shape,
      int experts,
      int rows,
      int columns,
      Layout layout) {
    List<Projection> all =
        projections == 2 ? List.of(Projection.GATE, Projection.UP) : List.of(Projection.DOWN);
    var stack = new TensorSpec.Stack(0, experts, all, Shape.of(rows, columns));
    var spec =
        new TensorSpec("layers.0.experts.x.weight", Role.EXPERT_DOWN, 0, stack.shape(), stack);
    int elements = Math.toIntExact(shape.elements());
    MemorySegment tensor = MemorySegment.ofArray(new int[elements]);
    for (int i = 0; i < elements; i++) {
      tensor.setAtIndex(ValueLayout.JAVA_INT, i, i);
    }
    List<View> views = new ArrayList<>();
    for (TensorSpec.Leaf leaf : spec.leaves()) {
      Source source = arrangement.locate("t", leaf, name -> shape);
      assertEquals(shape, source.shape());
      View view = source.view() == null ? View.run(0, elements) : source.view();
      views.add(view);
      MemorySegment seen = MemorySegment.ofArray(new int[rows * columns]);
      Rearrangement.of(view).gather(tensor, 0, seen, Integer.BYTES);
      for (int i = 0; i < rows * columns; i++) {
        int projection = all.indexOf(leaf.projection());
        int expected = layout.at(leaf.expert(), projection, i / columns, i % columns);
        assertEquals(expected, seen.getAtIndex(ValueLayout.JAVA_INT, i));
      }
    }
    assertEquals(Optional.empty(), Tiling.flaw(views, elements));
  }

  @Test
  void biasesOfExpertsAndARowAreVectors() {
    var row = new TensorSpec("layers.3.router.bias", Role.ROUTER_BIAS, 3, Shape.of(5), null);
    assertEquals(
        new Source("t", Shape.of(1, 5), View.run(0, 5)),
        Arrangement.ROW.locate("t", row.whole(), name -> row.shape()));
    assertNull(Arrangement.ITSELF.locate("t", row.whole(), name -> row.shape()).view());
  }

  @Test
  void joinedMatricesAreRunsOfOne() {
    var key =
        new TensorSpec(
            "layers.2.attention.key.weight", Role.ATTENTION_KEY, 2, Shape.of(2, 3), null);
    Arrangement joined = Arrangement.joined(Names.QUERY_KEY_VALUE);
    Source source =
        joined.locate(
            "t", key.whole(), name -> name.contains("query") ? Shape.of(4, 3) : Shape.of(2, 3));
    assertEquals(new Source("t", Shape.of(8, 3), View.run(12, 6)), source);
  }
}
