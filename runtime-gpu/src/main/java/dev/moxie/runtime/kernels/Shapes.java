package dev.moxie.runtime.kernels;

import java.util.List;
import java.util.Optional;
import java.util.function.IntToLongFunction;
import java.util.stream.IntStream;

/**
 * How launches of products are shared: README.md beside the kernels, "Which launch". Sizes of
 * shared memory are those that the kernels cut theirs by.
 *
 * @param processors multiprocessors of the machine
 * @param shared bytes of shared memory that a block may have
 */
record Shapes(int processors, int shared) {
  /** Tokens that kernels take at once. */
  static final int MOST_TOKENS = 16;

  /** Columns of the products of kernels for several tokens; eight are a tile. */
  private static final int MANY_COLUMNS = 32;

  private static final int TILE = 8;

  /** Warps of a block of those kernels, all of them on one tile of rows. */
  private static final int WARPS = 8;

  /** The same where shared memory is too small for those. */
  private static final int FEWER_WARPS = 4;

  /** Slots of a warp of those kernels, but of gate and up. */
  private static final long SEVERAL_SLOTS = 4;

  /** Rows of a tile. */
  private static final int ROWS = 16;

  /** Warps of a block for one token, and warps that share a tile. */
  private static final List<int[]> SHARED_BY =
      List.of(
          new int[] {8, 8},
          new int[] {8, 4},
          new int[] {8, 2},
          new int[] {8, 1},
          new int[] {6, 6},
          new int[] {6, 2},
          new int[] {6, 1},
          new int[] {4, 4});

  /** Where none of those fits. */
  private static final int[] LEAST = {2, 2};

  /** Steps that the beginning and the end of a round of tiles take. */
  private static final int ENDS = 8;

  /**
   * One launch.
   *
   * @param variant what the kernel's name ends with
   * @param split warps that share a tile
   * @param bytes of shared memory
   */
  record Shares(String variant, int warps, int split, int blocks, long bytes) {}

  /** Shared memory of so many warps that take so many tiles of rows each. */
  @FunctionalInterface
  private interface Bytes {
    long of(int warps, int tiles);
  }

  /** The launch of products of one x, or nothing if there is none for so many tokens. */
  Optional<Shares> project(Stored.Encoding encoding, int tokens, int columns, List<Integer> rows) {
    Bytes fixed = (warps, tiles) -> sums(tokens, warps, tiles) + inputs(encoding, tokens, columns);
    if (tokens == 1) {
      Bytes bytes = with(fixed, encoding::slotBytes);
      return slots(rows, Math.ceilDiv(columns, encoding.step()), 2, bytes, true);
    }
    Bytes bytes = with(fixed, tiles -> SEVERAL_SLOTS * encoding.slot(1));
    return several("_m1_t4_slots", bytes, 1, tiles(rows, 1))
        .or(() -> several("_m1_t4", fixed, 1, tiles(rows, 1)));
  }

  /** The launch of gate and up, tiles of both together. */
  Optional<Shares> gateUp(
      Stored.Encoding encoding, int tokens, int chosen, int hidden, int width, int sharedWidth) {
    Bytes fixed =
        (warps, tiles) ->
            sums(tokens, warps, 2) + inputs(encoding, tokens, hidden) + plan(tokens, chosen);
    Bytes bytes = with(fixed, tiles -> encoding.slotBytes(2));
    int tiles = tokens * chosen * Math.ceilDiv(width, ROWS) + Math.ceilDiv(sharedWidth, ROWS);
    return tokens == 1
        ? slots(List.of(tiles * ROWS), Math.ceilDiv(hidden, encoding.step()), 1, bytes, false)
        : several("_t4_slots", bytes, 2, tiles).or(() -> several("_t4", fixed, 2, tiles));
  }

  /** The launch of the second matrices of what was activated. */
  Optional<Shares> down(
      Stored.Encoding encoding, int tokens, int chosen, int hidden, int width, int sharedWidth) {
    Bytes fixed = (warps, tiles) -> sums(tokens, warps, tiles) + plan(tokens, chosen);
    long near = tokens * encoding.activations();
    if (tokens == 1) {
      Bytes bytes = with(fixed, tiles -> encoding.slotBytes(tiles) + encoding.slots(tiles) * near);
      int steps =
          chosen * Math.ceilDiv(width, encoding.step())
              + Math.ceilDiv(sharedWidth, encoding.step());
      return slots(List.of(hidden), steps, 2, bytes, true);
    }
    int tiles = Math.ceilDiv(hidden, ROWS);
    long all = activated(encoding, tokens, chosen, width, sharedWidth);
    Bytes bytes = with(fixed, together -> SEVERAL_SLOTS * (encoding.slot(1) + near));
    return several("_m1_t4_slots", bytes, 1, tiles)
        .or(() -> several("_m1_t4", (warps, m) -> fixed.of(warps, m) + all, 1, tiles))
        .or(() -> several("_m1_t4_far", fixed, 1, tiles));
  }

  /** And so much of each warp's, that takes so many tiles. */
  private static Bytes with(Bytes fixed, IntToLongFunction each) {
    return (warps, tiles) -> fixed.of(warps, tiles) + warps * each.applyAsLong(tiles);
  }

  private Optional<Shares> several(String variant, Bytes bytes, int together, int tiles) {
    return IntStream.of(WARPS, FEWER_WARPS)
        .filter(warps -> bytes.of(warps, together) <= shared)
        .mapToObj(
            warps ->
                new Shares(
                    variant, warps, warps, Math.min(tiles, processors), bytes.of(warps, together)))
        .findFirst();
  }

  /**
   * As choice.h chooses, among what fits into shared memory.
   *
   * @param most tiles that a warp takes together
   * @param named whether the kernel's name says how many it takes
   */
  private Optional<Shares> slots(
      List<Integer> rows, int steps, int most, Bytes bytes, boolean named) {
    Shares best = null;
    long least = Long.MAX_VALUE;
    for (int m = 1; m <= most; m++) {
      for (int[] by : SHARED_BY) {
        int groups = by[0] / by[1];
        long tiles = Math.ceilDiv(tiles(rows, 1), m);
        long rounds = Math.ceilDiv(tiles, (long) processors * groups);
        long cost = rounds * ((long) Math.ceilDiv(steps, by[1]) * by[0] * m + ENDS);
        if (bytes.of(by[0], m) <= shared && cost < least) {
          least = cost;
          int blocks = Math.min(Math.ceilDiv(tiles(rows, m), groups), processors);
          String variant = (named ? "_m" + m : "") + "_slots";
          best = new Shares(variant, by[0], by[1], blocks, bytes.of(by[0], m));
        }
      }
    }
    if (best == null && bytes.of(LEAST[0], 1) <= shared) {
      int blocks = Math.min(tiles(rows, 1), processors);
      String variant = (named ? "_m1" : "") + "_slots";
      best = new Shares(variant, LEAST[0], LEAST[1], blocks, bytes.of(LEAST[0], 1));
    }
    return Optional.ofNullable(best);
  }

  private static int tiles(List<Integer> rows, int together) {
    return rows.stream().mapToInt(r -> Math.ceilDiv(r, ROWS * together)).sum();
  }

  /** Tokens at once that kernels of an encoding have columns for. */
  static int mostTokens(Stored.Encoding encoding) {
    return Math.min(MOST_TOKENS, MANY_COLUMNS / encoding.productColumns());
  }

  private static long sums(int tokens, int warps, int tiles) {
    int columnTiles = tokens == 1 ? 1 : MANY_COLUMNS / TILE;
    return 2L * warps * tiles * ROWS * TILE * columnTiles * Float.BYTES;
  }

  private static long inputs(Stored.Encoding encoding, int tokens, int columns) {
    int piece = encoding.piece();
    long stride = Math.ceilDiv(columns, piece) * (long) piece + 32;
    return 64L * Float.BYTES + (long) tokens * encoding.parts() * stride * Short.BYTES;
  }

  /** Numbers of a plan of routing. */
  static long planNumbers(int tokens, int chosen) {
    return 1 + (long) tokens * chosen * (1 + tokens);
  }

  private static long plan(int tokens, int chosen) {
    return chosen == 0 ? 0 : Math.ceilDiv(planNumbers(tokens, chosen), 4) * 4L * Integer.BYTES;
  }

  /** Bytes of what gate and up of all slots come to. */
  static long activated(
      Stored.Encoding encoding, int tokens, int chosen, int width, int sharedWidth) {
    long alone = sharedWidth == 0 ? 0 : slot(sharedWidth);
    return (long) tokens * encoding.parts() * (chosen * slot(width) + alone) * Short.BYTES;
  }

  private static long slot(int width) {
    return Math.ceilDiv(width, 128) * 128L + 32;
  }
}
