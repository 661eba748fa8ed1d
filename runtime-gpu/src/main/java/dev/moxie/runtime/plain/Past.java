package dev.moxie.runtime.plain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What layers keep of the tokens of one sequence, in blocks of {@link #BLOCK} tokens. Sequences
 * that begin alike share the blocks that their beginning fills, and what is shared is never written
 * again.
 */
public final class Past {
  /** Tokens of a block. */
  public static final int BLOCK = 32;

  private final PastMemory memory;

  /** Of every token two rows: its keys and values, or its latent and the key of all heads. */
  private final List<Layer> layers = new ArrayList<>();

  private final List<Block> blocks = new ArrayList<>();

  /** What tokens see of an encoder's: of each layer rows as above, in blocks of its own. */
  private final List<Layer> remembered = new ArrayList<>();

  private int encoded;

  /** Of each position, how many tokens before it have one of their own. */
  private int[] placed = new int[1];

  /** Of whatever keeps one. */
  private final List<State> states = new ArrayList<>();

  /** Whether the last token of a step may be taken back after it. */
  private boolean guessing;

  /** An empty one in memory without a limit. */
  public Past() {
    this(new PastMemory(Long.MAX_VALUE, 0));
  }

  /** An empty one. */
  public Past(PastMemory memory) {
    this.memory = memory;
  }

  /** Some tokens in all layers, which several sequences may have. */
  private static final class Block {
    int holders = 1;
  }

  /** The rows of one layer, by block; in a block one after the other by position. */
  static final class Layer {
    private float[][] keys = new float[0][];
    private float[][] values = new float[0][];
    private float[][] index = new float[0][];

    /** Of every key/value head, or latents. */
    float[][] keys() {
      return keys;
    }

    /** Of those heads, or keys that all heads share. */
    float[][] values() {
      return values;
    }

    /** Keys of an indexer, where the layer has one. */
    float[][] index() {
      return index;
    }

    private void reserve(int blocks, int keyWidth, int valueWidth) {
      for (int had = keys.length; had < blocks; had++) {
        float[][] moreKeys = Arrays.copyOf(keys, had + 1);
        float[][] moreValues = Arrays.copyOf(values, had + 1);
        moreKeys[had] = new float[Math.multiplyExact(BLOCK, keyWidth)];
        moreValues[had] = new float[Math.multiplyExact(BLOCK, valueWidth)];
        // Both or, where memory ends, none.
        keys = moreKeys;
        values = moreValues;
      }
    }
  }

  /**
   * What is kept of all tokens together, and so of none of their beginnings. A step that fails has
   * changed nothing: it computes a state beside that of the step before. Where the last token is a
   * guess, there is a third: that before the guess.
   */
  static final class State {
    private float[] kept;
    private float[] made;
    private float[] sure = new float[0];
    private boolean isMade;
    private boolean isGuessed;

    private State(int size) {
      kept = new float[size];
      made = new float[size];
    }

    /** After the tokens so far; zeros before the first one. */
    float[] now() {
      return isMade ? made : kept;
    }

    /** Where it is to be after more of them; may be the same array. */
    float[] next() {
      return made;
    }

    /** Where it is to be before a guess that follows them; the same array where none does. */
    float[] beforeGuess() {
      return isGuessed ? sure : made;
    }

    /** Whether one follows them. */
    boolean isGuessed() {
      return isGuessed;
    }

    private void guess(boolean last) {
      isGuessed = last;
      if (last && sure.length < kept.length) {
        sure = new float[kept.length];
      }
    }

    /** Says that it is there. */
    void advance() {
      isMade = true;
    }

    private State copy() {
      var copy = new State(0);
      copy.kept = kept.clone();
      copy.made = new float[kept.length];
      return copy;
    }
  }

  /** How many blocks so many tokens take. */
  public static long blocks(long tokens) {
    return Math.ceilDiv(tokens, (long) BLOCK);
  }

  /** The rows of a layer. */
  Layer layer(int layer) {
    while (layers.size() <= layer) {
      layers.add(new Layer());
    }
    return layers.get(layer);
  }

  /** Keeps the rows of a token. */
  void put(
      int layer,
      int position,
      float[] keys,
      int keyAt,
      int keyWidth,
      float[] values,
      int valueAt,
      int valueWidth) {
    int block = position / BLOCK;
    reach(block + 1);
    Layer kept = layer(layer);
    kept.reserve(block + 1, keyWidth, valueWidth);
    int row = position % BLOCK;
    System.arraycopy(keys, keyAt, kept.keys[block], row * keyWidth, keyWidth);
    System.arraycopy(values, valueAt, kept.values[block], row * valueWidth, valueWidth);
  }

  /** Keeps keys and values of a token of an encoder, for a layer of a decoder. */
  void remember(
      int layer, int position, float[] keys, int keyAt, float[] values, int valueAt, int width) {
    int block = position / BLOCK;
    Layer kept = remembered(layer);
    kept.reserve(block + 1, width, width);
    int row = position % BLOCK * width;
    System.arraycopy(keys, keyAt, kept.keys[block], row, width);
    System.arraycopy(values, valueAt, kept.values[block], row, width);
    encoded = Math.max(encoded, position + 1);
  }

  /** The rows of an encoder's tokens that a layer of a decoder sees. */
  Layer remembered(int layer) {
    while (remembered.size() <= layer) {
      remembered.add(new Layer());
    }
    return remembered.get(layer);
  }

  /** An empty one whose tokens see the same of an encoder's. */
  public Past again() {
    var again = new Past(memory);
    again.remembered.addAll(remembered);
    again.encoded = encoded;
    return again;
  }

  /** How many tokens of an encoder these are. */
  int remembered() {
    return encoded;
  }

  /** How many of so many first tokens have a position of their own. */
  int placed(int tokens) {
    return placed[tokens];
  }

  /** Says so of one more token. */
  void place(int tokens, int count) {
    if (placed.length <= tokens) {
      placed = Arrays.copyOf(placed, 2 * tokens);
    }
    placed[tokens] = count;
  }

  /** Keeps the key of an indexer. */
  void putIndex(int layer, int position, float[] keys, int at, int width) {
    int block = position / BLOCK;
    reach(block + 1);
    Layer kept = layer(layer);
    while (kept.index.length <= block) {
      float[][] more = Arrays.copyOf(kept.index, kept.index.length + 1);
      more[kept.index.length] = new float[Math.multiplyExact(BLOCK, width)];
      kept.index = more;
    }
    System.arraycopy(keys, at, kept.index[block], position % BLOCK * width, width);
  }

  /**
   * A state, which is there for whoever computes it only.
   *
   * @param number counted by the model from 0
   */
  State state(int number, int size) {
    if (states.isEmpty()) {
      memory.take(memory.state());
    }
    while (states.size() <= number) {
      states.add(new State(0));
    }
    if (states.get(number).kept.length != size) {
      states.set(number, new State(size));
    }
    State state = states.get(number);
    state.guess(guessing);
    return state;
  }

  /**
   * Says whether the last token of a step is a guess, which may be taken back. Such a step is one
   * pass.
   */
  public void guess(boolean last) {
    guessing = last;
  }

  /** Takes back the guess that the last step ended with. */
  public void takeBack() {
    for (State state : states) {
      float[] after = state.kept;
      state.kept = state.sure;
      state.sure = after;
    }
  }

  /** Forgets what a step that failed made of states. */
  public void restore() {
    states.forEach(state -> state.isMade = false);
  }

  /**
   * Keeps states as they are now.
   *
   * @param tokens that have passed
   */
  public void keep(long tokens) {
    // No layer has, where all keep states.
    reach(blocks(tokens));
    for (int i = 0; i < states.size(); i++) {
      State state = states.get(i);
      if (state.isMade) {
        float[] before = state.kept;
        state.kept = state.made;
        state.made = before;
        state.isMade = false;
      }
    }
  }

  private void reach(long count) {
    while (blocks.size() < count) {
      memory.take(1);
      blocks.add(new Block());
    }
  }

  /** Blocks that it lacks for so many tokens. */
  public long lacks(long tokens) {
    return Math.max(0, blocks(tokens) - blocks.size()) + (states.isEmpty() ? memory.state() : 0);
  }

  /**
   * One that begins with the same tokens: it shares the blocks that they fill, and has a copy of
   * the one that they do not.
   *
   * @param tokens all of them or none, where there are states
   */
  public Past fork(int tokens) {
    var fork = new Past(memory);
    int whole = tokens / BLOCK;
    int all = Math.toIntExact(blocks(tokens));
    fork.blocks.addAll(blocks.subList(0, whole));
    for (int b = whole; b < all; b++) {
      fork.blocks.add(new Block());
    }
    for (Layer layer : layers) {
      var copy = new Layer();
      fork.layers.add(copy);
      if (layer.keys.length == 0) {
        // Keeps a state.
        continue;
      }
      copy.keys = Arrays.copyOf(layer.keys, all);
      copy.values = Arrays.copyOf(layer.values, all);
      copy.index = Arrays.copyOf(layer.index, Math.min(layer.index.length, all));
      for (int b = whole; b < all; b++) {
        copy.keys[b] = layer.keys[b].clone();
        copy.values[b] = layer.values[b].clone();
      }
      for (int b = whole; b < copy.index.length; b++) {
        copy.index[b] = layer.index[b].clone();
      }
    }
    long state = 0;
    if (tokens > 0 && !states.isEmpty()) {
      states.forEach(each -> fork.states.add(each.copy()));
      state = memory.state();
    }
    // Counted once nothing is left to allocate: a fork that fails has changed nothing.
    memory.take(all - whole + state);
    for (int b = 0; b < whole; b++) {
      blocks.get(b).holders++;
    }
    return fork;
  }

  /** Forgets all tokens. */
  public void clear() {
    for (Block block : blocks) {
      if (--block.holders == 0) {
        memory.give(1);
      }
    }
    if (!states.isEmpty()) {
      memory.give(memory.state());
    }
    blocks.clear();
    layers.clear();
    states.clear();
  }
}
