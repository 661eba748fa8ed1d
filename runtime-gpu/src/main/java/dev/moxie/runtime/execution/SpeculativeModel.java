package dev.moxie.runtime.execution;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.MoxiePackage;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A model whose first layer for multi-token prediction guesses the token after the next one, so
 * that both pass through the layers together (speculative decoding: Leviathan, Kalman, Matias,
 * "Fast Inference from Transformers via Speculative Decoding", 2023). Where the guessed token is
 * then chosen, the logits after it are there already. Logits have the same bits as the model's own,
 * whatever is guessed, since they have however tokens are cut into steps. Where layers keep a
 * state, that before the guess is kept beside that after it.
 */
public final class SpeculativeModel implements Model {
  private static final int NONE = -1;

  private final PlainModel model;
  private final Sequences sequences;
  private final int vocabulary;
  private final float[] last;

  /** Logits after a token and after the guess that follows it. */
  private final float[] both;

  private Sequence sequence;
  private int capacity;

  /** What passed last, of which the prediction layer has passed nothing yet. */
  private Sequences.@Nullable Slice passed;

  /** The token that passed after the last one though nobody has chosen it. */
  private int guess = NONE;

  private int guesses;
  private int right;

  SpeculativeModel(PlainModel model) {
    this.model = model;
    sequences = model.guessingOne();
    vocabulary = model.architecture().vocabSize();
    last = new float[vocabulary];
    both = new float[Math.multiplyExact(2, vocabulary)];
    sequence = sequences.begin(0);
  }

  /**
   * The layers of a package that can guess.
   *
   * @throws UsageException if it has none
   */
  public static Architecture.Prediction prediction(MoxiePackage pack) {
    Architecture architecture = pack.architecture();
    Architecture.Prediction prediction = architecture.prediction();
    if (prediction == null) {
      throw new UsageException(
          pack.folder().toString(),
          "layers for multi-token prediction, which guess tokens",
          "none",
          "convert the checkpoint with --mtp keep if it has any, or do not --speculate");
    }
    return prediction;
  }

  /**
   * The same for several texts at once.
   *
   * @throws UsageException if it has none, or layers keep a state, which is kept twice at most
   */
  public static Architecture.Prediction predictionOfTexts(MoxiePackage pack) {
    Architecture.Prediction prediction = prediction(pack);
    Architecture architecture = pack.architecture();
    var own = new Architecture.Blocks(1, prediction.attention(), prediction.feedForward());
    if (Stream.concat(architecture.layers().stream(), Stream.of(own))
        .anyMatch(layer -> layer.keptPerSequence() > 0)) {
      throw new UsageException(
          pack.folder().toString(),
          "no layer that keeps a state, which is not kept a third time for each of several texts",
          "some",
          "do not --speculate, or do so with moxie run");
    }
    return prediction;
  }

  @Override
  public void begin(int capacity) {
    sequence.close();
    sequence = sequences.begin(capacity);
    this.capacity = capacity;
    passed = null;
    guess = NONE;
  }

  @Override
  public float[] append(long[] ids) {
    float[] logits = new float[Math.multiplyExact(ids.length, vocabulary)];
    forgetGuess();
    pass(ids, logits);
    return logits;
  }

  @Override
  public float[] next(long[] next) {
    if (guess != NONE && next.length == 1 && next[0] == guess) {
      right++;
      guess = NONE;
      System.arraycopy(both, vocabulary, last, 0, vocabulary);
      return last;
    }
    forgetGuess();
    Sequences.Slice before = passed;
    if (next.length > 1 || before == null || length() + 2 > capacity) {
      pass(next, last);
      return last;
    }
    Tokens.require(next, vocabulary, length(), capacity);
    int likeliest = guess(before, next[0], true);
    step(new long[] {next[0], likeliest}, both, true);
    guess = likeliest;
    guesses++;
    System.arraycopy(both, 0, last, 0, vocabulary);
    return last;
  }

  /** Tokens as they come, logits after the last of them. */
  private void pass(long[] next, float[] logits) {
    Tokens.require(next, vocabulary, length(), capacity);
    int wanted = logits.length / vocabulary;
    for (int from = 0; from < next.length; from += Sequences.TOGETHER) {
      long[] some =
          Arrays.copyOfRange(next, from, Math.min(next.length, from + Sequences.TOGETHER));
      if (passed != null) {
        guess(passed, some[0], false);
      }
      int first = Math.max(from, next.length - wanted);
      int rows = Math.max(0, from + some.length - first);
      float[] after = new float[rows * vocabulary];
      step(some, after, false);
      System.arraycopy(after, 0, logits, (first - next.length + wanted) * vocabulary, after.length);
    }
  }

  private void forgetGuess() {
    if (guess != NONE) {
      sequence.cut(length());
      guess = NONE;
    }
  }

  private int guess(Sequences.Slice slice, long token, boolean wanted) {
    return sequences.guess(List.of(new Sequences.Next(slice, token, wanted)))[0];
  }

  private void step(long[] some, float[] logits, boolean guessed) {
    sequence.guess(guessed);
    var slice = new Sequences.Slice(sequence, some, logits);
    sequences.step(List.of(slice));
    passed = slice;
  }

  /** Tokens that were guessed before they were chosen or not. */
  public int guesses() {
    return guesses;
  }

  /** Guesses that were chosen. */
  public int right() {
    return right;
  }

  @Override
  public int length() {
    return sequence.length() - (guess == NONE ? 0 : 1);
  }

  @Override
  public void close() {
    sequence.close();
    model.close();
  }
}
