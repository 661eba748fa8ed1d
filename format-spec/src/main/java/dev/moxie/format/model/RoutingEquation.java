package dev.moxie.format.model;

/** A routing equation in symbols and in words, for people. */
public final class RoutingEquation {
  private RoutingEquation() {}

  /** One line per step; l are the router logits of a token, x is what its experts read. */
  public static String symbols(FeedForward.MixtureOfExperts moe) {
    Routing routing = moe.routing();
    Routing.Normalisation normalisation = routing.normalisation();
    String score =
        switch (routing.score()) {
          case SOFTMAX -> "s = softmax(l),  l = W_router x";
        };
    String weights = "w_e = s_e";
    if (normalisation != null) {
      weights +=
          normalisation.epsilon() == 0
              ? " / Σ_{j∈S} s_j"
              : " / (Σ_{j∈S} s_j + " + normalisation.epsilon() + ")";
    }
    if (routing.scale() != 1) {
      weights += " · " + routing.scale();
    }
    return "%s\nS = top-%d(s)\n%s\ny = Σ_{e∈S} w_e · expert_e(x)"
        .formatted(score, routing.expertsPerToken(), weights);
  }

  /** One sentence. */
  public static String words(FeedForward.MixtureOfExperts moe) {
    Routing routing = moe.routing();
    String score =
        switch (routing.score()) {
          case SOFTMAX -> "softmax over all " + moe.experts() + " experts";
        };
    String capacity =
        switch (routing.capacity()) {
          case UNLIMITED -> "no token is dropped";
        };
    String ties =
        switch (routing.ties()) {
          case LOWER_EXPERT_ID -> "of equal scores the lower expert id wins";
        };
    String applied =
        switch (routing.weightsApplyTo()) {
          case EXPERT_OUTPUT -> "multiply the experts' outputs";
        };
    return "%s in %s; the best %d are chosen; their scores, %s, %s; %s; %s."
        .formatted(
            score,
            routing.computeDtype(),
            routing.expertsPerToken(),
            (routing.normalisation() == null ? "as they are" : "divided by their sum")
                + (routing.scale() == 1 ? "" : ", times " + routing.scale()),
            applied,
            ties,
            capacity);
  }
}
