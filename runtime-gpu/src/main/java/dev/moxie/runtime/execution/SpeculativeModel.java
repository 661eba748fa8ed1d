package dev.moxie.runtime.execution;

import dev.moxie.format.error.UsageException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.plain.Pass;
import dev.moxie.runtime.plain.Past;
import java.util.Arrays;
import java.util.List;

/**
 * A model whose first layer for multi-token prediction guesses the token after the next one, so
 * that both pass through the layers together (speculative decoding: Leviathan, Kalman, Matias,
 * "Fast Inference from Transformers via Speculative Decoding", 2023; by such layers: DeepSeek-AI,
 * "DeepSeek-V3 Technical Report", 2024, section 5.4.3). Where the guessed token is then chosen, the
 * logits after it are there already. Logits have the same bits as the model's own, whatever is
 * guessed, since they have however tokens are cut into steps. Where layers keep a state, that
 * before the guess is kept beside that after it.
 *
 * <p>Takes the sequence of the model that it was made of for its own.
 */
public final class SpeculativeModel implements Model {
  private static final int NONE = -1;

  private final PlainModel model;
  private final PlainLayers layers;
  private final PlainLayers.Part layer;
  private final PlainLayers.Part head;
  private final Sequences sequences;
  private final int vocabulary;

  /** What the last decoder layer made of tokens that the prediction layer has not passed. */
  private final float[] hidden;

  private final float[] last;
  private final float[] guessed;

  /** Logits after a token and after the guess that follows it. */
  private final float[] both;

  private Sequence sequence;
  private Past past = new Past();
  private long[] ids = new long[0];
  private int length;

  /** Tokens that the prediction layer has passed, with the one after each. */
  private int foreseen;

  /** The token that passed after the last one though nobody has chosen it. */
  private int guess = NONE;

  private int guesses;
  private int right;

  SpeculativeModel(PlainModel model, PlainLayers layers, Architecture.Prediction prediction) {
    this.model = model;
    this.layers = layers;
    layer = layers.part((forward, h) -> forward.predicted(prediction, 0, forward.headInput(h)));
    head = layers.part((forward, x) -> forward.predictionHead(0, x));
    sequences = model.sequences(Long.MAX_VALUE);
    Architecture architecture = layers.architecture();
    vocabulary = architecture.vocabSize();
    hidden = new float[Math.multiplyExact(Sequences.TOGETHER, architecture.hiddenSize())];
    last = new float[vocabulary];
    guessed = new float[vocabulary];
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

  @Override
  public void begin(int capacity) {
    sequence.close();
    sequence = sequences.begin(capacity);
    past = new Past();
    ids = new long[capacity];
    length = 0;
    foreseen = 0;
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
      ids[length++] = next[0];
      System.arraycopy(both, vocabulary, last, 0, vocabulary);
      return last;
    }
    forgetGuess();
    if (next.length > 1 || length == 0 || length + 2 > ids.length) {
      pass(next, last);
      return last;
    }
    Tokens.require(next, vocabulary, length, ids.length);
    ids[length] = next[0];
    int likeliest = guessed();
    step(new long[] {next[0], likeliest}, both, true);
    length++;
    guess = likeliest;
    guesses++;
    System.arraycopy(both, 0, last, 0, vocabulary);
    return last;
  }

  /** Tokens as they come, logits after the last of them. */
  private void pass(long[] next, float[] logits) {
    Tokens.require(next, vocabulary, length, ids.length);
    int wanted = logits.length / vocabulary;
    for (int from = 0; from < next.length; from += Sequences.TOGETHER) {
      long[] some =
          Arrays.copyOfRange(next, from, Math.min(next.length, from + Sequences.TOGETHER));
      System.arraycopy(some, 0, ids, length, some.length);
      foresee();
      int first = Math.max(from, next.length - wanted);
      int rows = Math.max(0, from + some.length - first);
      float[] after = new float[rows * vocabulary];
      step(some, after, false);
      System.arraycopy(after, 0, logits, (first - next.length + wanted) * vocabulary, after.length);
      length += some.length;
    }
  }

  private void forgetGuess() {
    if (guess != NONE) {
      sequence.takeBack();
      guess = NONE;
    }
  }

  /** Lets tokens pass through the decoder layers, and keeps what the last one makes of them. */
  private void step(long[] some, float[] logits, boolean guessed) {
    int end = layers.architecture().layers().size() - 1;
    int width = layers.architecture().hiddenSize();
    sequence.guess(guessed);
    sequences.step(
        List.of(new Sequences.Slice(sequence, some, logits)),
        Sequences.TOGETHER,
        done -> {
          if (done == end) {
            for (int t = 0; t < some.length; t++) {
              layers.pass().copy(layers.layer(end).output(), t, hidden, t * width);
            }
          }
        });
  }

  /** Has the prediction layer pass every token before the newest, which each of them precedes. */
  private int foresee() {
    int waiting = length - foreseen;
    if (waiting > 0) {
      Pass pass = layers.pass();
      pass.begin(null);
      pass.add(past, foreseen, ids, foreseen + 1, waiting);
      pass.set(layer.input(), hidden);
      layer.program().run();
      foreseen = length;
    }
    return waiting;
  }

  /** The likeliest token after the newest. */
  private int guessed() {
    int waiting = foresee();
    Pass pass = layers.pass();
    pass.keep(new int[] {waiting - 1}, 1, layer.output());
    pass.copy(layer.output(), head.input());
    head.program().run();
    pass.copy(head.output(), 0, guessed, 0);
    int best = 0;
    for (int id = 1; id < vocabulary; id++) {
      best = guessed[id] > guessed[best] ? id : best;
    }
    return best;
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
    return length;
  }

  @Override
  public void close() {
    sequence.close();
    model.close();
  }
}
