package dev.moxie.verifier.reference;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.oracle.Estimate;
import dev.moxie.verifier.oracle.Oracle;
import dev.moxie.verifier.oracle.WeightMatrix.ScaleShift;
import dev.moxie.verifier.oracle.Weights;
import dev.moxie.verifier.report.Report;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * What may be wrong inside a layer: the oracle runs it on the reference's input under one
 * supposition after the other, until its numbers are the reference's.
 */
final class LayerSuspects {
  /** The values of mscale_all_dim in released checkpoints (DeepSeek-V3; V2 and V2-Lite). */
  private static final List<Double> MSCALES = List.of(1.0, 0.707);

  private static final Map<String, ScaleShift> SHIFTS = shifts();

  private final MoxiePackage pack;
  private final Trace trace;
  private final double unitRoundoff;
  private final List<Suspect> suspects = new ArrayList<>();

  /** A cause, and the model as it would be without it. */
  private record Suspect(String cause, Architecture architecture, Weights weights) {}

  LayerSuspects(MoxiePackage pack, Trace trace, double unitRoundoff) {
    this.pack = pack;
    this.trace = trace;
    this.unitRoundoff = unitRoundoff;
  }

  private static Map<String, ScaleShift> shifts() {
    Map<String, ScaleShift> shifts = new LinkedHashMap<>();
    shifts.put("one row down", new ScaleShift(-1, 0, 0));
    shifts.put("one row up", new ScaleShift(1, 0, 0));
    shifts.put("one column to the right", new ScaleShift(0, -1, 0));
    shifts.put("one column to the left", new ScaleShift(0, 1, 0));
    shifts.put("one place on", new ScaleShift(0, 0, -1));
    shifts.put("one place back", new ScaleShift(0, 0, 1));
    return shifts;
  }

  /** One sentence, if the catalogue has an explanation. */
  Optional<String> explain(Report.Layer layer) {
    String prefix = "layers." + layer.layer() + ".";
    List<String> failing =
        layer.steps().entrySet().stream()
            .filter(step -> !step.getValue().verdict().passed())
            .map(step -> step.getKey().substring(prefix.length()))
            .toList();
    FeedForward feedForward = pack.architecture().layers().get(layer.layer()).feedForward();
    if (failing.getFirst().equals("moe.output")
        && feedForward instanceof FeedForward.MixtureOfExperts moe
        && moe.shared() == null) {
      return Optional.of(
          "Looks like shared experts skipped: the reference adds something to its experts' output,"
              + " and the package has no shared experts.");
    }
    suppose(layer.layer(), failing.getFirst());
    return suspects.stream()
        .filter(suspect -> fits(suspect, layer, failing))
        .findFirst()
        .map(
            suspect ->
                "Looks like %s: without that, the reference's numbers of layer %d come out."
                    .formatted(suspect.cause(), layer.layer()))
        .or(() -> sizeOfRounding(layer, failing));
  }

  /** What remains to be said where no suspect explains anything: how large the differences are. */
  private Optional<String> sizeOfRounding(Report.Layer layer, List<String> failing) {
    var rounded = new Suspect("", pack.architecture(), Weights.asRounded(pack));
    return fits(rounded, layer, failing)
        ? Optional.of(
            "The differences of layer %d are no larger than rounding weights to BF16 makes them: a"
                    .formatted(layer.layer())
                + " checkpoint exported from a cast package differs so from its first source.")
        : Optional.empty();
  }

  /** What may be wrong at the first step that fails: what comes after it cannot be the cause. */
  private void suppose(int layer, String step) {
    switch (step) {
      case "moe.input", "router.logits" -> {
        supposeAttention(layer);
        supposeShifts(layer, ".attention.");
      }
      case "experts.output" -> supposeShifts(layer, ".experts.");
      case "moe.output" -> {
        supposeWithoutShared();
        supposeShifts(layer, ".shared.");
      }
      default -> {
        supposeAttention(layer);
        supposeShifts(layer, ".");
      }
    }
  }

  private void supposeAttention(int layer) {
    Rotary rotary = pack.architecture().layers().get(layer).attention().rotary();
    for (Rotary.Pairing other : Rotary.Pairing.values()) {
      String cause =
          switch (other) {
            case INTERLEAVED -> "interleaved rotary dimensions read as halves";
            case HALVES -> "rotary halves read as interleaved dimensions";
          };
      supposeRotary(cause, r -> r.withPairing(other));
    }
    if (rotary.yarn() != null) {
      supposeYarn(rotary.yarn());
    }
  }

  private void supposeWithoutShared() {
    suppose(
        "shared experts that the reference does not have",
        b ->
            b.feedForward() instanceof FeedForward.MixtureOfExperts m
                ? b.withFeedForward(m.withoutShared())
                : b);
  }

  private void supposeYarn(Rotary.Yarn yarn) {
    List<Double> roots = new ArrayList<>(List.of(1.0));
    for (double mscale : MSCALES) {
      roots.add(0.1 * mscale * Math.log(Math.max(1, yarn.factor())) + 1);
    }
    for (double root : roots) {
      String cause =
          yarn.softmaxFactor() == 1
              ? "the YaRN softmax factor ignored"
              : factor("softmax factor", yarn.softmaxFactor(), root * root);
      supposeYarn(cause, y -> y.withFactors(y.magnitude(), root * root));
    }
    for (double above : roots) {
      for (double below : roots) {
        supposeYarn(
            factor("magnitude of cosines and sines", yarn.magnitude(), above / below),
            y -> y.withFactors(above / below, y.softmaxFactor()));
      }
    }
    supposeRotary("YaRN that the reference does not use", r -> r.withYarn(null));
  }

  private static String factor(String what, double ours, double theirs) {
    return String.format(Locale.ROOT, "a YaRN %s of %.6g instead of %.6g", what, ours, theirs);
  }

  private void supposeYarn(String cause, UnaryOperator<Rotary.Yarn> change) {
    supposeRotary(cause, r -> r.withYarn(change.apply(Objects.requireNonNull(r.yarn()))));
  }

  private void supposeRotary(String cause, UnaryOperator<Rotary> change) {
    suppose(
        cause,
        b -> b.withAttention(b.attention().withRotary(change.apply(b.attention().rotary()))));
  }

  private void suppose(String cause, UnaryOperator<Architecture.Blocks> change) {
    Architecture changed = pack.architecture().withBlocks(change);
    if (!changed.equals(pack.architecture())) {
      suspects.add(new Suspect(cause, changed, Weights.asConverted(pack)));
    }
  }

  /** Scales of all tensors of the layer displaced, then those of each tensor by itself. */
  private void supposeShifts(int layer, String part) {
    List<String> scaled =
        pack.rows().stream()
            .filter(row -> row.layer() != null && row.layer() == layer)
            .filter(row -> row.kind() != IndexRow.Kind.SLICE)
            .filter(row -> row.encoding().equals(IndexRow.FP8_BLOCK))
            .filter(row -> row.name().contains(part))
            .map(IndexRow::name)
            .toList();
    if (!scaled.isEmpty()) {
      supposeShifts(
          "all its%s weights".formatted(part.replace('.', ' ').stripTrailing()),
          row -> row.name().contains(part));
    }
    for (String name : scaled) {
      supposeShifts(name, row -> row.name().equals(name));
    }
  }

  private void supposeShifts(String whose, Predicate<IndexRow> which) {
    SHIFTS.forEach(
        (words, shift) ->
            suspects.add(
                new Suspect(
                    "the block scales of " + whose + " shifted " + words,
                    pack.architecture(),
                    Weights.shifted(pack, shift, which))));
  }

  /** Whether, supposing this, all that failed comes out. */
  private boolean fits(Suspect suspect, Report.Layer layer, List<String> failing) {
    int number = layer.layer();
    int width = pack.architecture().hiddenSize();
    int tokens = trace.inputIds().length;
    String prefix = "layers." + number + ".";
    var oracle = new Oracle(suspect.architecture(), suspect.weights(), unitRoundoff);
    @Nullable List<int[]> experts =
        pack.architecture().layers().get(number).feedForward()
                instanceof FeedForward.MixtureOfExperts moe
            ? TraceRouting.experts(trace, number, moe, tokens)
            : null;
    Estimate input = Estimate.exact(trace.floats(prefix + "input", tokens, width), width);
    Map<String, Estimate> steps = LayerSteps.of(oracle.layer(number, input, experts));
    return failing.stream()
        .allMatch(
            step -> {
              Estimate estimate = Objects.requireNonNull(steps.get(step));
              float[] expected = trace.floats(prefix + step, estimate.rows(), estimate.columns());
              return Tolerance.compare(estimate.toFloats(), expected, estimate).verdict().passed();
            });
  }
}
