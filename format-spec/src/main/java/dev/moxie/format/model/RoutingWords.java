package dev.moxie.format.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** A routing equation in words; {@link Symbols} has it in symbols. */
public final class RoutingWords {
  private RoutingWords() {}

  /** One sentence. */
  public static String of(FeedForward.MixtureOfExperts moe) {
    Routing routing = moe.routing();
    List<String> parts = new ArrayList<>();
    String score =
        switch (routing.score()) {
          case SOFTMAX ->
              routing.hierarchy() != null
                  ? "softmax over groups, and over the experts of each"
                  : moe.byTask()
                      ? "softmax over all %d experts for each of %d tasks"
                          .formatted(moe.weighted(), moe.tasks())
                      : routing.prototypes() == 0
                          ? "softmax over all " + moe.experts() + " experts"
                          : "softmax over the experts of each of %d prototypes"
                              .formatted(routing.prototypes());
          case SIGMOID -> "sigmoid of each of " + moe.experts() + " experts";
          case IDENTITY -> "logits of " + moe.experts() + " experts as they are";
          case SQRT_SOFTPLUS -> "square root of softplus of each of " + moe.experts() + " experts";
          case ONE -> "no router, 1 for each of " + moe.experts() + " experts";
        };
    if (routing.cosine() != null) {
      parts.add("logits are cosines times a stored number");
    }
    parts.add(
        routing.logitCap() == null
            ? score + " in " + routing.computeDtype()
            : "logits held below %s; %s in %s"
                .formatted(routing.logitCap(), score, routing.computeDtype()));
    switch (routing.bias()) {
      case SELECTION -> parts.add("a bias is added for the choice, not for the weights");
      case SELECTION_AND_WEIGHTS -> parts.add("a bias is added, for choice and weights");
      case LOGITS -> parts.add("a bias is added to the router's logits");
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
    Routing.Hierarchy hierarchy = routing.hierarchy();
    if (hierarchy != null) {
      parts.add(
          "a primary gate keeps the best %d of %d groups"
              .formatted(hierarchy.kept(), hierarchy.groups()));
    }
    int each =
        routing.expertsPerToken() / routing.sets() / (hierarchy == null ? 1 : hierarchy.kept());
    if (routing.assigned()) {
      parts.add("a table of tokens names %d".formatted(each));
    } else {
      String from =
          hierarchy != null
              ? " of each"
              : moe.byTask() ? " for each task" : routing.sets() == 1 ? "" : " of each prototype";
      parts.add("the best %d%s are chosen".formatted(each, from));
    }
    String applied =
        switch (routing.weightsApplyTo()) {
          case EXPERT_OUTPUT -> "multiply the experts' outputs";
          case EXPERT_INPUT -> "multiply what the experts read";
        };
    parts.add(
        "their scores, %s%s, %s"
            .formatted(
                weights(routing),
                routing.scale() == 1 ? "" : ", times " + routing.scale(),
                applied));
    if (routing.factors()) {
      parts.add("each is multiplied by a stored number of its expert");
    }
    if (moe.byTask()) {
      parts.add("what they make for each task stands side by side");
    }
    if (moe.identities() > 0) {
      parts.add("the last %d of them give back what they are given".formatted(moe.identities()));
    }
    if (moe.shortcut() != null) {
      parts.add("a network, attention once more and another network stand beside the experts");
    }
    if (moe.beside() != null) {
      parts.add("a dense network serves every token beside the experts");
    }
    if (moe.shared() != null) {
      parts.add(
          moe.shared().mixed()
              ? "shared experts serve every token, and a softmax weighs them and the chosen"
              : "shared experts serve every token");
    }
    FeedForward.OutputFactors factors = moe.outputFactors();
    if (factors != null) {
      parts.add(
          "what routed experts make is multiplied by %s, what shared ones make by %s"
              .formatted(factors.routed(), factors.shared()));
    }
    parts.add(
        switch (routing.ties()) {
          case LOWER_EXPERT_ID -> "of equal scores the lower expert id wins";
        });
    parts.add(
        switch (routing.capacity()) {
          case UNLIMITED -> "no token is dropped";
          case LIMITED -> words(Objects.requireNonNull(routing.drops()));
        });
    return String.join("; ", parts) + ".";
  }

  private static String words(Routing.Drops drops) {
    String taken = drops.tokens() == null ? drops.fraction() + " of all" : drops.tokens() + "";
    taken = drops.least() == null ? taken : "%s or %d".formatted(taken, drops.least());
    return "an expert takes the first %s tokens of a sequence, %s, and drops the others, %s"
        .formatted(
            taken,
            switch (drops.order()) {
              case CHOICE_THEN_POSITION -> "first choices before second ones";
              case CHOICE_THEN_SCORE ->
                  "first choices before second ones and the tokens of best scores before others";
            },
            drops.afterNormalisation()
                ? "whose weights count in the sum"
                : "whose weights do not count");
  }

  private static String weights(Routing routing) {
    if (routing.mixer() != null) {
      return "in a softmax with those within %s of them that are not chosen before"
          .formatted(routing.mixer().tolerance());
    }
    if (routing.hierarchy() != null) {
      return "divided by their sum in the group, times the group's divided by that of those kept";
    }
    return routing.normalisation() == null ? "as they are" : "divided by their sum";
  }
}
