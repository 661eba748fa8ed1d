package dev.moxie.converter.family;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Routing;
import java.util.ArrayList;
import java.util.List;

/**
 * Multi-gate Mixture-of-Experts (Ma et al., "Modeling Task Relationships in Multi-task Learning
 * with Multi-gate Mixture-of-Experts", 2018, equations 4 to 7): for each task a gate, a softmax
 * over all experts, which the tasks share, and a tower over what its gate weighs. Networks have one
 * layer inside, with ReLU and biases; gates have none. The paper leaves open what features come
 * from. Here a Transformer reads an example, whose fields are rows of features, beside a token of
 * its own, and what follows attention in its last layer is what gates and experts read: nothing is
 * added to what they make, and nothing norms it. Losses of tasks are of training.
 */
final class Mmoe {
  private static final Key<Integer> FIELDS =
      Key.count("num_fields", Limits.MAX_WIDTH - 1, "rows of features of an example");
  private static final Key<Integer> FEATURES =
      Key.count("num_features", Limits.MAX_WIDTH, "features of a row");
  private static final Key<Integer> TASKS =
      Key.whole("num_tasks", 2, Limits.MAX_EXPERTS, "tasks, each with a gate and a tower");
  private static final Key<Integer> OUTPUTS =
      Key.count("num_outputs", Limits.MAX_WIDTH, "numbers that each task has for an output");
  private static final Key<Integer> TOWER =
      Key.count("tower_size", Limits.MAX_WIDTH, "width inside a tower");

  static final Family FAMILY =
      new Family(
          "mmoe",
          "MmoeModel",
          Keys.of(FIELDS, FEATURES, TASKS, OUTPUTS, TOWER, Experts.COUNT)
              .and(Experts.WIDTH.spelled("d_ff"), Llama.HIDDEN.spelled("d_model"))
              .and(Llama.LAYERS, Llama.HEADS.spelled("num_heads"))
              .and(Llama.EPSILON.spelled("layer_norm_eps").or(1e-6)),
          Mmoe::model,
          List.of(PaperNames.IMAGE));

  private Mmoe() {}

  private static Architecture model(Settings c) {
    int tasks = c.atMost(TASKS, Limits.MAX_EXPERTS / c.get(Experts.COUNT));
    if (c.get(Llama.HIDDEN) % tasks != 0) {
      throw c.wrong(TASKS, "a divisor of " + c.get(Llama.HIDDEN), tasks);
    }
    int gates = tasks * c.get(Experts.COUNT);
    var routing = Parts.with(Routing.of(gates, Routing.Score.SOFTMAX), "prototypes", tasks);
    var experts = Parts.with(Papers.experts(c, gates, routing), "biases", true);
    FeedForward dense = Parts.with(Papers.dense(c), "biases", true);
    FeedForward mixture = Parts.with(experts, "byTask", true);
    int last = c.get(Llama.LAYERS) - 1;
    var layers = new ArrayList<>(Images.layers(c, i -> i == last ? mixture : dense));
    var alone = new Architecture.ResidualScale(0, 1);
    layers.add(Parts.with(layers.removeLast(), "feedForwardResidual", alone));
    var towers = new Architecture.Towers(tasks, c.get(TOWER));
    var example = new Architecture.Image(c.get(FEATURES), null, towers);
    return Images.model(c, example, tasks * c.get(OUTPUTS), c.get(FIELDS) + 1, layers);
  }
}
