package dev.moxie.format.view;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class RearrangementTest {
  /** Whole, in runs of any size, and back in slabs of any size. */
  @Property(tries = 500)
  void everyElementGetsToItsPlaceAndBack(
      @ForAll @Size(min = 1, max = 4) List<@IntRange(min = 1, max = 9) Integer> extents,
      @ForAll @IntRange(min = 0, max = 3) int widthLog,
      @ForAll @IntRange(min = 1, max = 3000) int most,
      @ForAll long seed)
      throws IOException {
    var random = new Random(seed);
    int width = 1 << widthLog;
    List<Long> dims = extents.stream().map(Integer::longValue).toList();
    byte[] tensor = new byte[extents.stream().reduce(1, (a, b) -> a * b) * width];
    random.nextBytes(tensor);
    List<View> views = RandomViews.of(random, dims);
    List<MemorySegment> leaves = new ArrayList<>();
    for (View view : views) {
      MemorySegment seen = MemorySegment.ofArray(new byte[(int) view.elements() * width]);
      Rearrangement.of(view).gather(MemorySegment.ofArray(tensor), 0, seen, width);
      assertSeen(tensor, view, seen, width);
      assertArrayEquals(bytes(seen), bytes(inRuns(tensor, view, most, width)));
      leaves.add(seen);
    }
    byte[] back = new byte[tensor.length];
    long elements = tensor.length / width;
    for (long from = 0; from < elements; from += most) {
      long end = Math.min(elements, from + most);
      MemorySegment slab = MemorySegment.ofArray(back).asSlice(from * width, (end - from) * width);
      for (int i = 0; i < views.size(); i++) {
        Rearrangement.of(views.get(i)).scatter(leaves.get(i), slab, from, end, width);
      }
    }
    assertArrayEquals(tensor, back);
  }

  private static void assertSeen(byte[] tensor, View view, MemorySegment seen, int width) {
    long[] places = ViewTest.places(view);
    for (int i = 0; i < places.length; i++) {
      int at = (int) places[i] * width;
      assertArrayEquals(
          Arrays.copyOfRange(tensor, at, at + width), bytes(seen.asSlice((long) i * width, width)));
    }
  }

  private static MemorySegment inRuns(byte[] tensor, View view, int most, int width)
      throws IOException {
    MemorySegment seen = MemorySegment.ofArray(new byte[(int) view.elements() * width]);
    Rearrangement.of(view)
        .inRuns(
            most,
            (from, end, part) -> {
              // A copy: what lies beside the run is not to be had.
              byte[] run = Arrays.copyOfRange(tensor, (int) from * width, (int) end * width);
              part.gather(MemorySegment.ofArray(run), seen, width);
            });
    return seen;
  }

  private static byte[] bytes(MemorySegment segment) {
    return segment.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
  }

  @Test
  void runsAreAsLongAsTheyMayBe() throws IOException {
    List<Long> lengths = new ArrayList<>();
    View half = View.of(0, List.of(100L, 7L), List.of(1L, 200L));
    Rearrangement.of(half).inRuns(150, (from, end, part) -> lengths.add(end - from));
    assertEquals(7, lengths.size());
    assertTrue(lengths.stream().allMatch(length -> length == 100));
  }
}
