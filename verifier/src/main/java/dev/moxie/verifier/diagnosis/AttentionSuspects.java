package dev.moxie.verifier.diagnosis;

import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.Parts;
import dev.moxie.format.model.Rotary;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.verifier.report.Figures;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** What may be wrong with a layer's attention. */
final class AttentionSuspects {
  /** The values of mscale_all_dim in released checkpoints (DeepSeek-V3; V2 and V2-Lite). */
  private static final List<Double> MSCALES = List.of(1.0, 0.707);

  /** Bases of rotary angles in released checkpoints. */
  private static final List<Double> BASES =
      List.of(10_000.0, 50_000.0, 100_000.0, 150_000.0, 500_000.0, 1e6, 5e6, 1e7);

  /** Wider windows of a reference are not looked for: each is a pass of its own. */
  private static final int WIDEST_WINDOW = 64;

  /** Larger square matrices are not transposed: all their elements are held in memory for that. */
  private static final int LARGEST_TRANSPOSED = 4096;

  private final Evidence evidence;
  private final int layer;
  private final Attention attention;
  private final List<Suspect> suspects = new ArrayList<>();

  private AttentionSuspects(Evidence evidence, int layer) {
    this.evidence = evidence;
    this.layer = layer;
    this.attention = evidence.architecture().layers().get(layer).attention();
  }

  /** All of them, the cheapest first; those whose factor has to be searched for are searched. */
  static Stream<Suspect> of(Evidence evidence, int layer, String step, LayerInside inside) {
    var attention = new AttentionSuspects(evidence, layer);
    attention.supposeRotary();
    attention.supposeWindow();
    attention.supposeWeights();
    Stream<Stream<Suspect>> all =
        Stream.<Supplier<Stream<Suspect>>>of(
                attention.suspects::stream,
                () -> attention.scaledOutput(step, inside),
                () -> attention.fittedBase(step, inside),
                () -> Stream.of(attention.fittedScale(step, inside)))
            .map(Supplier::get);
    return all.flatMap(Function.identity());
  }

  private void supposeRotary() {
    Rotary rotary = attention.rotary();
    if (rotary == null) {
      return;
    }
    for (Rotary.Pairing other : Rotary.Pairing.values()) {
      String cause =
          switch (other) {
            case INTERLEAVED -> "interleaved rotary dimensions read as halves";
            case HALVES -> "rotary halves read as interleaved dimensions";
          };
      rotary(cause, r -> r.withPairing(other));
    }
    if (rotary.scaling() instanceof Rotary.Yarn yarn) {
      supposeYarn(yarn);
    }
    for (double base : BASES) {
      rotary(base(rotary, base), r -> Parts.with(r, "theta", base));
    }
  }

  private static String base(Rotary rotary, double other) {
    return "rotary base %s instead of %s"
        .formatted(Figures.number(rotary.theta()), Figures.number(other));
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
      yarn(cause, y -> y.withFactors(y.magnitude(), root * root));
    }
    for (double above : roots) {
      for (double below : roots) {
        yarn(
            factor("magnitude of cosines and sines", yarn.magnitude(), above / below),
            y -> y.withFactors(above / below, y.softmaxFactor()));
      }
    }
    rotary("YaRN that the reference does not use", r -> r.withScaling(null));
  }

  private static String factor(String what, double ours, double theirs) {
    return "a YaRN %s of %s instead of %s"
        .formatted(what, Figures.number(ours), Figures.number(theirs));
  }

  private void yarn(String cause, UnaryOperator<Rotary.Yarn> change) {
    rotary(
        cause, r -> r.scaling() instanceof Rotary.Yarn own ? r.withScaling(change.apply(own)) : r);
  }

  private void rotary(String cause, UnaryOperator<Rotary> change) {
    suppose(cause, a -> a.rotary() == null ? a : a.withRotary(change.apply(a.rotary())));
  }

  private void supposeWindow() {
    if (attention instanceof Attention.GroupedQuery own) {
      suppose("a sliding window that the reference does not have", a -> window(a, null));
      for (int window = 1; window < Math.min(evidence.tokens(), WIDEST_WINDOW); window++) {
        int width = window;
        String cause =
            own.window() == null
                ? "a dropped sliding window of " + width
                : "a sliding window of " + own.window() + " instead of " + width;
        suppose(cause, a -> window(a, width));
      }
    }
  }

  private static Attention window(Attention attention, @Nullable Integer window) {
    return switch (attention) {
      case Attention.GroupedQuery a -> a.withWindow(window);
      case Attention.MultiHeadLatent a -> a;
    };
  }

  private void supposeWeights() {
    weights(
        "key and value swapped",
        name -> Siblings.swap(name, "attention.key.", "attention.value."),
        "attention.key.weight",
        "attention.value.weight");
    weights(
        "query and key swapped",
        name -> Siblings.swap(name, "attention.query.", "attention.key."),
        "attention.query.weight",
        "attention.key.weight");
    for (IndexRow row : evidence.pack().rows()) {
      boolean square = row.shape().rank() == 2 && row.shape().dim(0) == row.shape().dim(1);
      if (row.name().startsWith("layers." + layer + ".attention.")
          && square
          && row.shape().dim(0) <= LARGEST_TRANSPOSED) {
        suspects.add(
            Suspect.of(
                row.name() + " transposed",
                evidence,
                (asked, stored) ->
                    asked.equals(row) ? stored.get(row).transposed() : stored.get(asked)));
      }
    }
    for (int other = 0; other < evidence.architecture().layers().size(); other++) {
      int from = other;
      if (other != layer && attention.equals(blocks(other).attention())) {
        suspects.add(
            Suspect.of(
                "layer %d with the attention of layer %d".formatted(layer, from),
                evidence,
                (row, stored) ->
                    stored.get(
                        row.name().startsWith("layers." + layer + ".attention.")
                            ? Siblings.ofLayer(evidence.pack(), row, from)
                            : row)));
      }
    }
  }

  private Architecture.Blocks blocks(int other) {
    return evidence.architecture().layers().get(other);
  }

  /** Two tensors in each other's place, where their shapes allow it. */
  private void weights(String cause, UnaryOperator<String> rename, String a, String b) {
    String prefix = "layers." + layer + ".";
    List<IndexRow> rows =
        evidence.pack().rows().stream()
            .filter(row -> row.name().equals(prefix + a) || row.name().equals(prefix + b))
            .toList();
    if (rows.size() == 2 && rows.getFirst().shape().equals(rows.getLast().shape())) {
      suspects.add(
          Suspect.of(
              cause,
              evidence,
              (row, stored) ->
                  stored.get(
                      rows.contains(row) ? Siblings.renamed(evidence.pack(), row, rename) : row)));
    }
  }

  private Stream<Suspect> fittedBase(String step, LayerInside inside) {
    Rotary rotary = attention.rotary();
    if (rotary == null) {
      return Stream.empty();
    }
    double own = rotary.theta();
    double factor =
        Fit.factor(
            0.5, 2, 41, r -> Difference.of(inside, evidence.oracle(rotaryBase("", own * r)), step));
    return Stream.of(rotaryBase(base(rotary, own * factor), own * factor));
  }

  private Suspect rotaryBase(String cause, double theta) {
    return Suspect.of(
        cause,
        evidence,
        b -> {
          Rotary r = b.attention().rotary();
          return r == null
              ? b
              : b.withAttention(b.attention().withRotary(Parts.with(r, "theta", theta)));
        });
  }

  private Suspect fittedScale(String step, LayerInside inside) {
    double factor =
        Fit.factor(0.01, 100, 33, r -> Difference.of(inside, evidence.oracle(scaled("", r)), step));
    double own = attention.scale();
    return scaled(
        "attention scale %s instead of %s"
            .formatted(Figures.number(own), Figures.number(own * factor)),
        factor);
  }

  private Suspect scaled(String cause, double factor) {
    return Suspect.of(
        cause,
        evidence,
        b -> b.withAttention(b.attention().withScale(b.attention().scale() * factor)));
  }

  private Stream<Suspect> scaledOutput(String step, LayerInside inside) {
    double quotient =
        Difference.quotient(
            inside.compute(evidence.oracle(), step),
            inside.expected(step),
            evidence.given(layer, "input"));
    String name = "layers." + layer + ".attention.output.weight";
    return Suspect.factor("attention output", name, quotient, evidence);
  }

  private void suppose(String cause, UnaryOperator<Attention> change) {
    Suspect suspect =
        Suspect.of(cause, evidence, b -> b.withAttention(change.apply(b.attention())));
    if (!suspect.architecture().equals(evidence.architecture())) {
      suspects.add(suspect);
    }
  }
}
