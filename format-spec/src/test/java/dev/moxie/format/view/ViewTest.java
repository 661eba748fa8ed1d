package dev.moxie.format.view;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.format.safetensors.Shape;
import java.util.List;
import org.junit.jupiter.api.Test;

class ViewTest {
  /** The elements that a view sees, in its order: its definition, and nothing else. */
  static long[] places(View view) {
    long[] places = {view.offset()};
    for (int i = 0; i < view.shape().rank(); i++) {
      int extent = Math.toIntExact(view.shape().dim(i));
      long[] more = new long[places.length * extent];
      for (int j = 0; j < more.length; j++) {
        more[j] = places[j / extent] + j % extent * view.strides().get(i);
      }
      places = more;
    }
    return places;
  }

  @Test
  void neighboursThatOneExtentCanStandForAreOne() {
    View rows = View.of(12, List.of(1L, 3L, 4L), List.of(99L, 4L, 1L));
    assertEquals(View.run(12, 12), rows);
    assertTrue(rows.isRun());
    assertTrue(View.of(0, List.of(3L, 4L), List.of(4L, 1L)).isAllOf(12));
    assertFalse(View.of(0, List.of(4L, 3L), List.of(1L, 4L)).isRun());
    assertFalse(View.run(0, 12).isAllOf(13));
  }

  @Test
  void oneElementHasNoExtents() {
    View one = View.run(7, 1);
    assertEquals(new View(7, Shape.of(), List.of()), one);
    assertEquals(1, one.elements());
    assertEquals(8, one.end());
  }

  @Test
  void onlyTheSimplestFormIsAView() {
    assertThrows(IllegalArgumentException.class, () -> new View(-1, Shape.of(), List.of()));
    assertThrows(IllegalArgumentException.class, () -> new View(0, Shape.of(1), List.of(1L)));
    assertThrows(IllegalArgumentException.class, () -> new View(0, Shape.of(0), List.of(1L)));
    assertThrows(IllegalArgumentException.class, () -> new View(0, Shape.of(2), List.of(0L)));
    assertThrows(IllegalArgumentException.class, () -> new View(0, Shape.of(2), List.of()));
    assertThrows(
        IllegalArgumentException.class, () -> new View(0, Shape.of(3, 4), List.of(4L, 1L)));
  }

  @Test
  void aViewOfMoreThanCanBeCountedIsNone() {
    long half = Long.MAX_VALUE / 2;
    assertThrows(IllegalArgumentException.class, () -> new View(0, Shape.of(3), List.of(half + 1)));
    assertThrows(IllegalArgumentException.class, () -> new View(half, Shape.of(3), List.of(half)));
    assertThrows(
        IllegalArgumentException.class,
        () -> View.of(0, List.of(1L << 32, 1L << 32), List.of(1L, 1L)));
  }
}
