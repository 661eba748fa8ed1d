package dev.moxie.format.view;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Whether views of one tensor are all of it, each element once. No element is looked at: views that
 * lie apart are told apart by where they begin and end, views that alternate by their common
 * period, of which one is enough. Only views of different periods are cut in pieces, up to a limit.
 */
public final class Tiling {
  private static final int MOST_PIECES = 1 << 16;

  private int pieces;

  private Tiling() {}

  /** How views fail to tile. */
  public enum Kind {
    /** Some element is in none of them. */
    GAP,
    /** Some element is in two of them, or in one twice. */
    OVERLAP,
    /** They are laid out in no way that can be checked. */
    TANGLE
  }

  /**
   * Where views fail to tile.
   *
   * @param from an element
   * @param end another; what is wrong shows before it
   */
  public record Flaw(Kind kind, long from, long end) {
    @Override
    public String toString() {
      String elements = "elements %d to %d".formatted(from, end - 1);
      return switch (kind) {
        case GAP -> "no leaf for some of the " + elements;
        case OVERLAP -> "more than one leaf for some of the " + elements;
        case TANGLE -> "views of the " + elements + " whose strides do not nest";
      };
    }
  }

  /** A view without regard for the order in which it shows its elements: strides fall. */
  @SuppressWarnings("ArrayRecordComponent") // Never compared.
  private record Box(long offset, long[] extents, long[] strides) {
    static Box of(View view) {
      List<Long> strides = view.strides();
      int[] order =
          IntStream.range(0, strides.size())
              .boxed()
              .sorted(Comparator.comparing(strides::get, Comparator.reverseOrder()))
              .mapToInt(Integer::intValue)
              .toArray();
      View sorted =
          View.of(
              view.offset(),
              Arrays.stream(order).mapToObj(view.shape()::dim).toList(),
              Arrays.stream(order).mapToObj(strides::get).toList());
      return new Box(view.offset(), array(sorted.shape().dims()), array(sorted.strides()));
    }

    private static long[] array(List<Long> numbers) {
      return numbers.stream().mapToLong(Long::longValue).toArray();
    }

    int rank() {
      return extents.length;
    }

    long elements() {
      return Arrays.stream(extents).reduce(1, (a, b) -> a * b);
    }

    long end() {
      long end = offset + 1;
      for (int i = 0; i < rank(); i++) {
        end += (extents[i] - 1) * strides[i];
      }
      return end;
    }

    /** Whether each stride passes over everything inside it. */
    boolean isNested() {
      long inside = 1;
      for (int i = rank() - 1; i >= 0; i--) {
        if (strides[i] < inside) {
          return false;
        }
        inside += (extents[i] - 1) * strides[i];
      }
      return true;
    }

    /**
     * What of it lies in the first of the periods that it repeats itself in; null if it does not.
     */
    @Nullable Box inPeriod(long period, long span) {
      if (rank() == 0 || extents[0] * strides[0] != span || period % strides[0] != 0) {
        return null;
      }
      long left = period / strides[0];
      if (left == 1) {
        return inner(offset);
      }
      long[] fewer = extents.clone();
      fewer[0] = left;
      return new Box(offset, fewer, strides);
    }

    /** One step of the outermost stride. */
    Box inner(long at) {
      return new Box(
          at, Arrays.copyOfRange(extents, 1, rank()), Arrays.copyOfRange(strides, 1, rank()));
    }
  }

  /** Where views fail to tile a tensor of so many elements; empty if they do. */
  public static Optional<Flaw> flaw(List<View> views, long elements) {
    List<Box> boxes = views.stream().map(Box::of).toList();
    for (Box box : boxes) {
      if (!box.isNested()) {
        return Optional.of(new Flaw(Kind.TANGLE, box.offset(), box.end()));
      }
    }
    return Optional.ofNullable(new Tiling().check(boxes, 0, elements));
  }

  private @Nullable Flaw check(List<Box> boxes, long begin, long end) {
    List<Box> sorted = new ArrayList<>(boxes);
    sorted.sort(Comparator.comparingLong(Box::offset));
    long next = begin;
    for (int i = 0; i < sorted.size(); ) {
      long from = sorted.get(i).offset();
      long to = sorted.get(i).end();
      int first = i;
      for (i++; i < sorted.size() && sorted.get(i).offset() < to; i++) {
        to = Math.max(to, sorted.get(i).end());
      }
      if (from > next) {
        return new Flaw(Kind.GAP, next, from);
      }
      if (to > end) {
        return new Flaw(Kind.OVERLAP, end, to);
      }
      Flaw flaw = checkTogether(sorted.subList(first, i), from, to);
      if (flaw != null) {
        return flaw;
      }
      next = to;
    }
    return next < end ? new Flaw(Kind.GAP, next, end) : null;
  }

  /** Boxes that lie among each other, between their first element and their last. */
  private @Nullable Flaw checkTogether(List<Box> boxes, long from, long end) {
    long elements = 0;
    for (Box box : boxes) {
      elements += box.elements();
      if (elements > end - from) {
        return new Flaw(Kind.OVERLAP, from, end);
      }
    }
    if (elements < end - from) {
      return new Flaw(Kind.GAP, from, end);
    }
    if (boxes.size() == 1) {
      return null;
    }
    long period =
        boxes.stream().mapToLong(box -> box.rank() == 0 ? 1 : box.strides()[0]).max().orElseThrow();
    List<Box> inside = new ArrayList<>();
    for (Box box : boxes) {
      Box one = box.inPeriod(period, end - from);
      if (one == null) {
        return checkInPieces(boxes, period, from, end);
      }
      inside.add(one);
    }
    return check(inside, from, from + period);
  }

  /** Takes the boxes of the longest period one by one. */
  private @Nullable Flaw checkInPieces(List<Box> boxes, long period, long from, long end) {
    List<Box> inside = new ArrayList<>();
    for (Box box : boxes) {
      if (box.rank() == 0 || box.strides()[0] != period) {
        inside.add(box);
        continue;
      }
      if (box.extents()[0] > MOST_PIECES - pieces) {
        return new Flaw(Kind.TANGLE, from, end);
      }
      pieces += (int) box.extents()[0];
      for (long i = 0; i < box.extents()[0]; i++) {
        inside.add(box.inner(box.offset() + i * period));
      }
    }
    return check(inside, from, end);
  }
}
