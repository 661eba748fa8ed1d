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
  private float[] patches = new float[0];
  private Past[] pasts = new Past[0];
  private int[] positions = new int[0];
  private int tokens;
  private int states;
  private long weightBytes;
  private @Nullable ExpertMemory experts;
  private @Nullable List<int[]> replayed;

  /** One that computes on all processors. */
  public Pass() {
    this(Team.shared());
  }

  Pass(Team team) {
    this.team = team;
  }

  /**
   * Begins with other tokens, which are then added.
   *
   * @param chosen the experts of each token where the caller decides them, else null
   */
  public void begin(@Nullable List<int[]> chosen) {
    tokens = 0;
    replayed = chosen;
  }

  /**
   * Adds tokens that follow each other in a sequence.
   *
   * @param of what layers keep of the sequence
   * @param first position of the first of them
   * @param from where they begin among {@code some}
   */
  public void add(Past of, int first, long[] some, int from, int count) {
    add(of, first, count);
    if (ids.length < tokens) {
      ids = Arrays.copyOf(ids, positions.length);
    }
    System.arraycopy(some, from, ids, tokens - count, count);
  }

  /**
   * Has tokens show an image from now on.
   *
   * @param image patches of all tokens but the first, [T − 1, P]
   */
  public void see(float[] image) {
    patches = image;
  }

  /** Adds tokens of which no embedding is asked for. */
  public void add(Past of, int first, int count) {
    int before = tokens;
    tokens += count;
    if (positions.length < tokens) {
      positions = Arrays.copyOf(positions, tokens);
      pasts = Arrays.copyOf(pasts, tokens);
    }
    for (int t = before; t < tokens; t++) {
      positions[t] = first + t - before;
      pasts[t] = of;
    }
    places.reserve(tokens);
    for (int i = 0; i < all.size(); i++) {
      for (int t = before; t < tokens; t++) {
        all.get(i).reserve(positions[t]);
      }
    }
  }

  /**
   * Goes on with some of the tokens alone, and with their rows of an activation as the only ones.
   *
   * @param some which, in order
   */
  public void keep(int[] some, int count, Value value) {
    float[] array = array(value);
    for (int i = 0; i < count; i++) {
      int t = some[i];
      System.arraycopy(array, t * value.apart(), array, i * value.apart(), value.columns());
      positions[i] = positions[t];
      pasts[i] = pasts[t];
    }
    tokens = count;
  }

  /** Has experts of all programs kept in so much memory. */
  public void keepExperts(ExpertMemory memory) {
    experts = memory;
  }

  /** Where experts are kept; null where the system keeps what it can. */
  @Nullable ExpertMemory experts() {
    return experts;
  }

  /** Notes that weights of so many bytes are read. */
  void reads(long bytes) {
    weightBytes += bytes;
  }

  /** Bytes of all matrices that were multiplied so far, each once for all tokens of a pass. */
  public long weightBytes() {
    return weightBytes;
  }

  /** Tokens that pass. */
  public int tokens() {
    return tokens;
  }

  long id(int token) {
    return ids[token];
  }

  /** Copies the patch of a token, or zeros where it is the first. */
  void patch(int token, float[] to, int at, int size) {
    int position = positions[token];
    if (position == 0) {
      Arrays.fill(to, at, at + size, 0);
    } else {
      System.arraycopy(patches, (position - 1) * size, to, at, size);
    }
  }

  int position(int token) {
    return positions[token];
  }

  Past past(int token) {
    return pasts[token];
  }

  /** The first token after this one that does not follow it in its sequence. */
  int endOfRun(int token) {
    int end = token + 1;
    while (end < tokens && pasts[end] == pasts[token]) {
      end++;
    }
    return end;
  }

  /** The number of one more state of sequences. */
  int newState() {
    return states++;
  }

  /** Keys that tokens see, on average, where none is masked. */
  long seen() {
    long sum = 0;
    for (int t = 0; t < tokens; t++) {
      sum += positions[t] + 1;
    }
    return sum / tokens;
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

  /** Copies a token's row, [columns], to where it is to begin. */
  public void copy(Value from, int token, float[] to, int at) {
    System.arraycopy(array(from), token * from.apart(), to, at, from.columns());
  }

  /** Makes one activation the same as another of its width. */
  public void copy(Value from, Value to) {
    System.arraycopy(array(from), 0, array(to), 0, tokens * from.apart());
  }

  /** Sets an activation, [tokens · columns]. */
  public void set(Value value, float[] numbers) {
    for (int t = 0; t < tokens; t++) {
      set(value, t, numbers, t * value.columns());
    }
  }

  /** Sets a token's row, [columns], to numbers from one on. */
  public void set(Value value, int token, float[] numbers, int from) {
    System.arraycopy(numbers, from, array(value), token * value.apart(), value.columns());
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
