package dev.moxie.format.model;

import java.util.ArrayList;
import java.util.List;

/** A routing equation in symbols and in words, for people. */
public final class RoutingEquation {
  private RoutingEquation() {}

  /** One line per step; l are the router logits of a token, x is what its experts read. */
  public static String symbols(FeedForward.MixtureOfExperts moe) {
    Routing routing = moe.routing();
    List<String> lines = new ArrayList<>();
    lines.add(
        switch (routing.score()) {
          case SOFTMAX -> "s = softmax(l),  l = W_router x";
          case SIGMOID -> "s = sigmoid(l),  l = W_router x";
        });
    String chosenBy = "s";
    if (routing.bias() != null) {
      chosenBy = "c";
      lines.add("c = s + b,  b stored per expert");
    }
    Routing.Groups groups = routing.groups();
    if (groups != null) {
      String aggregate =
          switch (groups.aggregate()) {
            case MAXIMUM -> "max %s of group".formatted(chosenBy);
            case SUM_OF_TOP_TWO -> "sum of the two largest %s of group".formatted(chosenBy);
          };
      String mask =
          switch (groups.maskValue()) {
            case ZERO -> "0";
            case NEGATIVE_INFINITY -> "−∞";
          };
      lines.add(
          "G = top-%d of %d groups by %s;  %s = %s outside G"
              .formatted(groups.kept(), groups.count(), aggregate, chosenBy, mask));
    }
    lines.add("S = top-%d(%s)".formatted(routing.expertsPerToken(), chosenBy));
    lines.add(weights(routing));
    lines.add(
        "y = Σ_{e∈S} w_e · expert_e(x)" + (moe.shared() == null ? "" : " + shared_experts(x)"));
    return String.join("\n", lines);
  }

  private static String weights(Routing routing) {
    String value = routing.bias() == Routing.Bias.SELECTION_AND_WEIGHTS ? "c" : "s";
    String weights = "w_e = " + value + "_e";
    Routing.Normalisation normalisation = routing.normalisation();
    if (normalisation != null) {
      String sum = "Σ_{j∈S} " + value + "_j";
      weights +=
          normalisation.epsilon() == 0
              ? " / " + sum
              : " / (" + sum + " + " + normalisation.epsilon() + ")";
    }
    return routing.scale() == 1 ? weights : weights + " · " + routing.scale();
  }

  /** One sentence. */
  public static String words(FeedForward.MixtureOfExperts moe) {
    Routing routing = moe.routing();
    List<String> parts = new ArrayList<>();
    String score =
        switch (routing.score()) {
          case SOFTMAX -> "softmax over all " + moe.experts() + " experts";
          case SIGMOID -> "sigmoid of each of " + moe.experts() + " experts";
        };
    parts.add(score + " in " + routing.computeDtype());
    switch (routing.bias()) {
      case SELECTION -> parts.add("a bias is added for the choice, not for the weights");
      case SELECTION_AND_WEIGHTS -> parts.add("a bias is added, for choice and weights");
      case null -> {}
    }
    Routing.Groups groups = routing.groups();
    if (groups != null) {
      String aggregate =
          switch (groups.aggregate()) {
            case MAXIMUM -> "whose best expert scores";
            case SUM_OF_TOP_TWO -> "whose two best experts together score";
          };
      parts.add(
          "only the %d of %d groups %s most are chosen from"
              .formatted(groups.kept(), groups.count(), aggregate));
    }
    parts.add("the best %d are chosen".formatted(routing.expertsPerToken()));
    String applied =
        switch (routing.weightsApplyTo()) {
          case EXPERT_OUTPUT -> "multiply the experts' outputs";
        };
    parts.add(
        "their scores, %s%s, %s"
            .formatted(
                routing.normalisation() == null ? "as they are" : "divided by their sum",
                routing.scale() == 1 ? "" : ", times " + routing.scale(),
                applied));
    if (moe.shared() != null) {
      parts.add("shared experts serve every token");
    }
    parts.add(
        switch (routing.ties()) {
          case LOWER_EXPERT_ID -> "of equal scores the lower expert id wins";
        });
    parts.add(
        switch (routing.capacity()) {
          case UNLIMITED -> "no token is dropped";
        });
    return String.join("; ", parts) + ".";
  }
}
