package dev.moxie.runtime.execution;

import dev.moxie.format.model.Architecture;
import dev.moxie.runtime.plain.Pass;
import java.util.Arrays;
import java.util.List;

/**
 * The first layer for multi-token prediction, beside sequences: it reads what the last decoder
 * layer made of each of their tokens together with the token after it, and guesses the one after
 * that (DeepSeek-AI, "DeepSeek-V3 Technical Report", 2024, section 5.4.3). What it keeps of tokens
 * lies beside what decoder layers keep of them, so that forks have it as well.
 */
final class Predictor {
  private static final int NONE = -1;

  private final PlainLayers layers;
  private final PlainLayers.Part layer;
  private final PlainLayers.Part head;
  private final int width;

  /** What the last decoder layer made of the tokens of the last step, [tokens, H]. */
  private float[] hidden = new float[0];

  private final float[] logits;

  Predictor(PlainLayers layers, Architecture.Prediction prediction) {
    this.layers = layers;
    layer = layers.part((forward, h) -> forward.predicted(prediction, 0, forward.headInput(h)));
    head = layers.part((forward, x) -> forward.predictionHead(0, x));
    width = layers.architecture().hiddenSize();
    logits = new float[layers.architecture().vocabSize()];
  }

  /**
   * Takes what the last layer has just made of the tokens that pass.
   *
   * @param before tokens of the step that have passed before them
   */
  void take(int before) {
    Pass pass = layers.pass();
    int all = Math.multiplyExact(before + pass.tokens(), width);
    if (hidden.length < all) {
      hidden = Arrays.copyOf(hidden, all);
    }
    for (int t = 0; t < pass.tokens(); t++) {
      pass.copy(layers.head().input(), t, hidden, (before + t) * width);
    }
  }

  /** As {@link Sequences#guess}. */
  int[] guess(List<Sequences.Next> all) {
    Pass pass = layers.pass();
    pass.begin(null);
    int[] guesses = new int[all.size()];
    Arrays.fill(guesses, NONE);
    int[] last = new int[all.size()];
    int[] whose = new int[all.size()];
    int wanted = 0;
    for (int i = 0; i < all.size(); i++) {
      Sequences.Next one = all.get(i);
      Sequence sequence = one.slice().sequence();
      int count = sequence.length() - sequence.foreseen();
      long[] following = Arrays.copyOfRange(one.slice().ids(), 1, count + 1);
      following[count - 1] = one.token();
      pass.add(sequence.past(), sequence.foreseen(), following, 0, count);
      if (one.guessed()) {
        last[wanted] = pass.tokens() - 1;
        whose[wanted++] = i;
      }
    }
    if (pass.tokens() == 0) {
      return guesses;
    }
    int row = 0;
    for (Sequences.Next one : all) {
      Sequence sequence = one.slice().sequence();
      for (int t = sequence.foreseen(); t < sequence.length(); t++) {
        int from = sequence.row() + t - sequence.foreseen();
        pass.set(layer.input(), row++, hidden, from * width);
      }
    }
    layer.program().run();
    all.forEach(one -> one.slice().sequence().foresee());
    if (wanted > 0) {
      pass.keep(last, wanted, layer.output());
      pass.copy(layer.output(), head.input());
      head.program().run();
    }
    for (int i = 0; i < wanted; i++) {
      pass.copy(head.output(), i, logits, 0);
      guesses[whose[i]] = likeliest();
    }
    return guesses;
  }

  private int likeliest() {
    int best = 0;
    for (int id = 1; id < logits.length; id++) {
      best = logits[id] > logits[best] ? id : best;
    }
    return best;
  }
}
