package dev.moxie.verifier.routing;

import dev.moxie.runtime.execution.Margin;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.runtime.execution.Layers;
import dev.moxie.runtime.execution.PlainModel;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Watches a model compute some tokens, and keeps what its routers chose and what came out. */
public final class Choices implements PlainModel.LayerObserver {
  private final Architecture architecture;
  private final SortedMap<Integer, List<Choice>> byLayer = new TreeMap<>();
  private float[] hidden = new float[0];

  /**
   * What a router chose for a token.
   *
   * @param margin null where nothing is rejected
   */
  @SuppressWarnings("ArrayRecordComponent") // Lives for one step, is never compared.
  record Choice(int[] experts, @Nullable Margin margin) {}

  /** Of a model of this architecture. */
  public Choices(Architecture architecture) {
    this.architecture = architecture;
  }

  @Override
  public void accept(int layer, Layers.Result result) {
    hidden = result.output();
    Layers.@Nullable Mixture mixture = result.mixture();
    if (mixture != null
        && architecture.layers().get(layer).feedForward()
            instanceof FeedForward.MixtureOfExperts moe) {
      List<Choice> choices = new ArrayList<>();
      for (int t = 0; t < mixture.decisions().size(); t++) {
        choices.add(new Choice(mixture.decisions().get(t).experts(), Margin.of(moe, mixture, t)));
      }
      byLayer.put(layer, choices);
    }
  }

  /** What the last layer made of the tokens, [T · H]. */
  public float[] hidden() {
    return hidden;
  }

  SortedMap<Integer, List<Choice>> byLayer() {
    return byLayer;
  }
}
