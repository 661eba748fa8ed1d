package dev.moxie.runtime.serve;

import dev.moxie.runtime.execution.Routes;
import dev.moxie.runtime.generation.Sampler;
import java.util.ArrayList;
import java.util.List;

/** Log-probabilities of tokens: log softmax of the model's logits. */
final class Likelihoods {
  private Likelihoods() {}

  /** A token that was chosen, beside the likeliest ones. */
  static Job.Chosen of(float[] logits, int chosen, int alternatives, Routes routes) {
    double largest = logits[Sampler.largest(logits)];
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - largest);
    }
    double all = largest + Math.log(sum);
    List<Job.Likelihood> likeliest = new ArrayList<>();
    for (int id : Sampler.likeliest(logits, alternatives)) {
      likeliest.add(new Job.Likelihood(id, (float) (logits[id] - all)));
    }
    return new Job.Chosen(
        new Job.Likelihood(chosen, (float) (logits[chosen] - all)), likeliest, routes);
  }
}
