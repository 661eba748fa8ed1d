package dev.moxie.runtime.plain;

import dev.moxie.format.model.Rotary;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What the programs of a model share while some tokens pass through them: the tokens, where they
 * stand, and the arrays that activations are computed in.
 */
public final class Pass {
  private final Team team;
  private final Places places = new Places();
  private final Scratch scratch = new Scratch();
  private final Map<Rotary, Turns> turns = new HashMap<>();

  /** The same, for a loop that allocates nothing. */
  private final List<Turns> all = new ArrayList<>();

  private long[] ids = new long[0];
  private Past[] pasts = new Past[0];
  private int[] positions = new int[0];
  private int tokens;
  private long weightBytes;
  private @Nullable List<int[]> replayed;

  /** One that computes on all processors. */
  public Pass() {
    this(Team.shared());
  }

  Pass(Team team) {
    this.team = team;
  }

  /**
   * Begins with other tokens, all of one sequence.
   *
   * @param tokens how many
   * @param ids of them; empty where no embedding is asked for
   * @param first position of the first of them
   * @param replayed the experts of each where the caller decides them, else null
   */
  public void begin(int tokens, long[] ids, Past past, int first, @Nullable List<int[]> replayed) {
    this.ids = ids;
    this.tokens = tokens;
    this.replayed = replayed;
    if (positions.length < tokens) {
      positions = new int[tokens];
      pasts = new Past[tokens];
    }
    for (int t = 0; t < tokens; t++) {
      positions[t] = first + t;
      pasts[t] = past;
    }
    places.reserve(tokens);
    for (int i = 0; i < all.size(); i++) {
      all.get(i).compute(positions, tokens);
    }
  }

  /** Goes on with the last token alone, and with its row of an activation as the only one. */
  public void keepLast(Value value) {
    float[] array = array(value);
    System.arraycopy(array, (tokens - 1) * value.apart(), array, 0, value.columns());
    positions[0] = positions[tokens - 1];
    pasts[0] = pasts[tokens - 1];
    tokens = 1;
  }

  /** Notes that weights of so many bytes are read. */
  void reads(long bytes) {
    weightBytes += bytes;
  }

  /** Bytes of all matrices that were multiplied so far, each once for all tokens of a pass. */
  public long weightBytes() {
    return weightBytes;
  }

  int tokens() {
    return tokens;
  }

  long id(int token) {
    return ids[token];
  }

  int position(int token) {
    return positions[token];
  }

  Past past(int token) {
    return pasts[token];
  }

  @Nullable List<int[]> replayed() {
    return replayed;
  }

  Team team() {
    return team;
  }

  /** Room for one instruction at a time, so that memory does not grow with the layers. */
  Scratch scratch() {
    return scratch;
  }

  Places places() {
    return places;
  }

  /** An activation, [tokens, {@link Value#apart}]. */
  float[] array(Value value) {
    return places.array(value);
  }

  /** A copy of an activation, [tokens · columns]. */
  public float[] copy(Value value) {
    int columns = value.columns();
    float[] array = array(value);
    if (value.apart() == columns) {
      return Arrays.copyOf(array, tokens * columns);
    }
    float[] copy = new float[Math.multiplyExact(tokens, columns)];
    for (int t = 0; t < tokens; t++) {
      System.arraycopy(array, t * value.apart(), copy, t * columns, columns);
    }
    return copy;
  }

  /** Copies the first token's row, [columns]. */
  public void copy(Value from, float[] to) {
    System.arraycopy(array(from), 0, to, 0, from.columns());
  }

  /** Makes one activation the same as another of its width. */
  public void copy(Value from, Value to) {
    System.arraycopy(array(from), 0, array(to), 0, tokens * from.apart());
  }

  /** Sets an activation, [tokens · columns]. */
  public void set(Value value, float[] numbers) {
    int columns = value.columns();
    for (int t = 0; t < tokens; t++) {
      System.arraycopy(numbers, t * columns, array(value), t * value.apart(), columns);
    }
  }

  Turns turns(Rotary rotary) {
    return turns.computeIfAbsent(
        rotary,
        first -> {
          var turn = new Turns(rotary);
          all.add(turn);
          return turn;
        });
  }
}
