package dev.moxie.verifier.routing;

import dev.moxie.format.text.Lines;
import dev.moxie.runtime.execution.Utilisation;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.StringJoiner;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** A routing report as lines for a person. */
final class RoutingText {
  private static final String BARS = "▁▂▃▄▅▆▇█";
  private static final char UNUSED = '·';

  /** Characters that show the use of all experts of a layer. */
  private static final int WIDEST = 64;

  private static final int EXPERTS_SHOWN = 16;
  private static final int PREFERENCES_SHOWN = 3;

  private static final List<String> TITLES =
      List.of(
          "layer",
          "use, expert 0 first",
          "imbalance",
          "entropy",
          "effective",
          "unused",
          "dead",
          "loss",
          "least margin",
          "median",
          "close");

  /** Columns of text, which stand to the left; numbers stand to the right. */
  private static final int USE = 1;

  private final Lines lines = new Lines();

  private RoutingText() {}

  static String of(RoutingReport report) {
    var text = new RoutingText();
    text.lines.add(
        "routing      %s, %,d tokens, sequences of at most %,d: %,d; without a reference, hence no"
            + " verdict",
        report.packageFolder(), report.tokens(), report.maxTokens(), report.sequences());
    for (Corpus.Source source : report.sources()) {
      text.lines.add(
          "  corpus     %s: %,d tokens, sequences: %,d",
          source.name(), source.tokens(), source.sequences());
    }
    text.table(report.layers());
    report.layers().forEach(text::remarks);
    text.unchosen(report.unchosen());
    report.texts().forEach(text::texts);
    FlipsText.add(text.lines, report.flips());
    for (Equation equation : report.equations()) {
      text.lines.add("%-11s  %s  (%s)", equation.name(), equation.symbols(), equation.source());
    }
    return text.lines.toString();
  }

  private void table(List<LayerStatistics> layers) {
    List<List<String>> rows = new ArrayList<>(List.of(TITLES));
    layers.forEach(layer -> rows.add(row(layer)));
    int[] widths = new int[TITLES.size()];
    for (List<String> row : rows) {
      for (int c = 0; c < widths.length; c++) {
        widths[c] = Math.max(widths[c], row.get(c).length());
      }
    }
    for (List<String> row : rows) {
      var cells = new StringJoiner("  ");
      for (int c = 0; c < widths.length; c++) {
        String padding = " ".repeat(widths[c] - row.get(c).length());
        cells.add(c == USE ? row.get(c) + padding : padding + row.get(c));
      }
      lines.add("%s", cells);
    }
  }

  private static List<String> row(LayerStatistics layer) {
    Utilisation use = layer.utilisation();
    return List.of(
        String.valueOf(layer.layer()),
        bars(use.counts()),
        format("%.2f", use.imbalance()),
        format("%.2f", use.entropy()),
        format("%.1f of %d", use.effectiveExperts(), layer.experts()),
        String.valueOf(use.unused().size()),
        String.valueOf(use.dead().size()),
        format("%.3f", layer.loadBalancingLoss()),
        small(layer.smallestMargin()),
        small(layer.medianMargin()),
        String.valueOf(layer.withinFloat32()));
  }

  /** One bar per expert, as high as its share of the largest count; of many experts, of runs. */
  private static String bars(List<Long> counts) {
    int run = Math.ceilDiv(counts.size(), WIDEST);
    List<Double> means = new ArrayList<>();
    for (int start = 0; start < counts.size(); start += run) {
      means.add(
          counts.subList(start, Math.min(counts.size(), start + run)).stream()
              .mapToLong(Long::longValue)
              .average()
              .orElseThrow());
    }
    double most = means.stream().mapToDouble(Double::doubleValue).max().orElseThrow();
    return means.stream()
        .map(mean -> mean == 0 ? UNUSED : BARS.charAt((int) Math.ceil(8 * mean / most) - 1))
        .map(String::valueOf)
        .collect(Collectors.joining());
  }

  private void remarks(LayerStatistics layer) {
    Utilisation use = layer.utilisation();
    if (!use.unused().isEmpty()) {
      lines.add(
          "layer %-5d  %s: %s",
          layer.layer(), use.dead().isEmpty() ? "unused" : "dead", shortened(use.unused()));
    }
    if (layer.dropped() > 0) {
      lines.add(
          "layer %-5d  dropped: %,d of %,d choices, of experts that had all that they take",
          layer.layer(), layer.dropped(), use.tokens() * use.expertsPerToken());
    }
    if (use.collapsed()) {
      lines.add(
          "layer %-5d  collapsed: %.1f effective experts of %d",
          layer.layer(), use.effectiveExperts(), layer.experts());
    }
  }

  private void unchosen(Unchosen unchosen) {
    if (unchosen.experts() > 0) {
      lines.add(
          "unchosen     %,d of %,d experts: without them the package would have %,d bytes less of"
              + " %,d (%.1f %%)",
          unchosen.experts(),
          unchosen.allExperts(),
          unchosen.bytes(),
          unchosen.allBytes(),
          100.0 * unchosen.bytes() / unchosen.allBytes());
    }
  }

  private void texts(LayerTexts layer) {
    for (TextUse use : layer.texts()) {
      lines.add(
          "layer %-5d  %s  %s: %s",
          layer.layer(), bars(use.counts()), use.text(), differences(use));
    }
  }

  private static String differences(TextUse use) {
    if (!use.told()) {
      return "too short to tell its experts from those of the other texts";
    }
    if (use.more().isEmpty() && use.less().isEmpty()) {
      return "no expert more or less than in the other texts";
    }
    return Stream.of(preferences("more", use.more()), preferences("less", use.less()))
        .flatMap(Optional::stream)
        .collect(Collectors.joining("; "));
  }

  private static Optional<String> preferences(String word, List<Preference> preferences) {
    if (preferences.isEmpty()) {
      return Optional.empty();
    }
    String some =
        preferences.stream()
            .limit(PREFERENCES_SHOWN)
            .map(
                one ->
                    format(
                        "%d (%.0f %% of tokens, elsewhere %.0f %%)",
                        one.expert(), 100 * one.share(), 100 * one.elsewhere()))
            .collect(Collectors.joining(", "));
    return Optional.of(word + " " + some + (preferences.size() > PREFERENCES_SHOWN ? ", …" : ""));
  }

  private static String shortened(List<Integer> experts) {
    return (experts.size() == 1 ? "expert " : "experts ")
        + experts.stream()
            .limit(EXPERTS_SHOWN)
            .map(String::valueOf)
            .collect(Collectors.joining(", "))
        + (experts.size() > EXPERTS_SHOWN ? ", …" : "");
  }

  private static String small(@Nullable Double value) {
    return value == null ? "none" : format("%.2g", value);
  }

  private static String format(String format, Object... arguments) {
    return String.format(Locale.ROOT, format, arguments);
  }
}
