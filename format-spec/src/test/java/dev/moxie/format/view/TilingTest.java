package dev.moxie.format.view;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.view.Tiling.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.LongStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class TilingTest {
  @Property(tries = 500)
  void whateverATensorIsCutIntoIsAllOfIt(
      @ForAll @Size(min = 1, max = 4) List<@IntRange(min = 1, max = 12) Integer> extents,
      @ForAll long seed) {
    List<Long> dims = dims(extents);
    List<View> views = RandomViews.of(new Random(seed), dims);
    assertEquals(Optional.empty(), Tiling.flaw(views, new Shape(dims).elements()));
  }

  @Property(tries = 500)
  void aViewThatIsMissingIsAGap(
      @ForAll @Size(min = 2, max = 4) List<@IntRange(min = 2, max = 12) Integer> extents,
      @ForAll long seed) {
    var random = new Random(seed);
    List<Long> dims = dims(extents);
    List<View> views = new ArrayList<>(RandomViews.of(random, dims));
    views.remove(random.nextInt(views.size()));
    assertEquals(Optional.of(Kind.GAP), kind(views, new Shape(dims).elements()));
  }

  @Property(tries = 500)
  void aViewThatIsThereTwiceOverlaps(
      @ForAll @Size(min = 1, max = 4) List<@IntRange(min = 1, max = 12) Integer> extents,
      @ForAll long seed) {
    var random = new Random(seed);
    List<Long> dims = dims(extents);
    List<View> views = new ArrayList<>(RandomViews.of(random, dims));
    views.add(random.nextInt(views.size()), views.get(random.nextInt(views.size())));
    assertEquals(Optional.of(Kind.OVERLAP), kind(views, new Shape(dims).elements()));
  }

  /** Whatever is said of it: it is found wrong exactly where counting the elements finds it so. */
  @Property(tries = 2000)
  void aWrongStrideOrOffsetIsFoundWhereCountingFindsIt(
      @ForAll @Size(min = 1, max = 3) List<@IntRange(min = 2, max = 8) Integer> extents,
      @ForAll long seed) {
    var random = new Random(seed);
    List<Long> dims = dims(extents);
    List<View> views = new ArrayList<>(RandomViews.of(random, dims));
    int which = random.nextInt(views.size());
    View view = views.get(which);
    List<Long> strides = new ArrayList<>(view.strides());
    long offset = view.offset();
    if (strides.isEmpty() || random.nextInt(4) == 0) {
      offset += 1 + random.nextInt(3);
    } else {
      int axis = random.nextInt(strides.size());
      strides.set(axis, strides.get(axis) + 1 + random.nextInt(3));
    }
    views.set(which, View.of(offset, view.shape().dims(), strides));
    long elements = new Shape(dims).elements();
    assertEquals(isTiled(views, (int) elements), Tiling.flaw(views, elements).isEmpty());
  }

  @Test
  void stacksOfHundredsOfExpertsOfAHundredGigabytesTakeNoTime() {
    long experts = 512;
    long rows = 14336;
    long columns = 8192;
    List<View> alternating = new ArrayList<>();
    for (long e = 0; e < experts; e++) {
      for (long projection = 0; projection < 2; projection++) {
        alternating.add(
            View.of(
                e * 2 * rows * columns + projection,
                List.of(rows, columns),
                List.of(2L, 2 * rows)));
      }
    }
    assertEquals(Optional.empty(), Tiling.flaw(alternating, 2 * experts * rows * columns));
    View last = alternating.removeLast();
    assertEquals(Kind.GAP, kind(alternating, 2 * experts * rows * columns).orElseThrow());
    alternating.add(View.of(last.offset() - 1, last.shape().dims(), last.strides()));
    assertEquals(Kind.OVERLAP, kind(alternating, 2 * experts * rows * columns).orElseThrow());
  }

  /** A row here, a column there: no period is common to both, and none is needed. */
  @Test
  void aFrameAndWhatIsInItAreTheWhole() {
    List<View> frame =
        List.of(
            View.run(0, 5),
            View.of(5, List.of(3L), List.of(5L)),
            View.of(6, List.of(3L, 3L), List.of(5L, 1L)),
            View.of(9, List.of(3L), List.of(5L)),
            View.run(20, 5));
    assertEquals(Optional.empty(), Tiling.flaw(frame, 25));
    assertEquals(Kind.GAP, kind(frame, 26).orElseThrow());
    assertEquals(Kind.OVERLAP, kind(frame, 24).orElseThrow());
  }

  @Test
  void viewsThatPassOverThemselvesAreRefused() {
    View folded = View.of(0, List.of(3L, 2L), List.of(2L, 3L));
    assertEquals(Kind.TANGLE, kind(List.of(folded), 6).orElseThrow());
  }

  @Test
  void aFlawSaysWhereItIs() {
    assertEquals(
        "no leaf for some of the elements 4 to 9",
        Tiling.flaw(List.of(View.run(0, 4)), 10).orElseThrow().toString());
  }

  private static Optional<Kind> kind(List<View> views, long elements) {
    return Tiling.flaw(views, elements).map(Tiling.Flaw::kind);
  }

  private static List<Long> dims(List<Integer> extents) {
    return extents.stream().map(Integer::longValue).toList();
  }

  /** By counting. */
  private static boolean isTiled(List<View> views, int elements) {
    int[] seen = new int[elements];
    for (View view : views) {
      long[] places = ViewTest.places(view);
      for (long place : places) {
        if (place >= elements || seen[(int) place]++ > 0) {
          return false;
        }
      }
    }
    return LongStream.range(0, elements).allMatch(i -> seen[(int) i] == 1);
  }
}
