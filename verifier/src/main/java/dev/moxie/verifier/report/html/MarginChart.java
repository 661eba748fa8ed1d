package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Markup;
import dev.moxie.verifier.report.Report;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** How clear decisions are: a histogram of margins on a logarithmic scale, by verdict. */
final class MarginChart {
  private static final int HEIGHT = 160;
  private static final int MOST_BINS = 48;
  private static final int FINEST = 4;
  private static final int LABELS = 6;
  private static final String KINDS = "XTM";
  private static final List<String> CLASSES = List.of("mismatch", "tie", "match");

  private MarginChart() {}

  static void draw(Markup page, List<Report.LayerRouting> routing) {
    double low = extreme(routing, true);
    double high = extreme(routing, false);
    if (low > high) {
      return;
    }
    int first = (int) Math.floor(Math.log10(low));
    int decades = Math.max(1, (int) Math.floor(Math.log10(high)) + 1 - first);
    int finest = Math.min(FINEST, MOST_BINS / decades);
    // Bins per decade, or decades per bin where there are very many.
    double width = finest > 0 ? 1.0 / finest : Math.ceilDiv(decades, MOST_BINS);
    int bins = 1 + (int) Math.ceil(decades / width);
    int[][] counts = count(routing, first, width, bins);
    try (var _ =
        Parts.figure(
            page,
            "Margins",
            "Gap between the last chosen and the first rejected score of each decision, all layers"
                + " together. The nearer to 0, the more easily rounding changes a choice; bin 0"
                + " holds gaps of exactly 0.")) {
      try (var legend = Legend.open(page)) {
        legend.cell("match bar", null, "same experts");
        legend.cell("tie bar", null, "tie, stacked below");
        legend.cell("mismatch bar", null, "mismatch, at the bottom");
      }
      draw(page, counts, first, decades, width);
    }
  }

  private static double extreme(List<Report.LayerRouting> routing, boolean smallest) {
    double extreme = smallest ? Double.POSITIVE_INFINITY : 0;
    for (Report.LayerRouting layer : routing) {
      for (@Nullable Double margin : layer.margins()) {
        if (margin != null && margin > 0 && Double.isFinite(margin)) {
          extreme = smallest ? Math.min(extreme, margin) : Math.max(extreme, margin);
        }
      }
    }
    return extreme;
  }

  /** Decisions [bin][verdict]; bin 0 is of margin 0. */
  private static int[][] count(
      List<Report.LayerRouting> routing, int first, double width, int bins) {
    int[][] counts = new int[bins][KINDS.length()];
    for (Report.LayerRouting layer : routing) {
      for (int t = 0; t < layer.margins().size(); t++) {
        Double margin = layer.margins().get(t);
        if (margin != null && Double.isFinite(margin)) {
          int bin = margin <= 0 ? 0 : 1 + (int) Math.floor((Math.log10(margin) - first) / width);
          counts[Math.min(bin, bins - 1)][KINDS.indexOf(layer.decisions().charAt(t))]++;
        }
      }
    }
    return counts;
  }

  private static void draw(Markup page, int[][] counts, int first, int decades, double width) {
    int most = 1;
    for (int[] bin : counts) {
      most = Math.max(most, bin[0] + bin[1] + bin[2]);
    }
    try (var _ = Svg.drawing(page, "plot wide", HEIGHT + 34, "Histogram of routing margins")) {
      for (double part : new double[] {0, 0.5, 1}) {
        double y = HEIGHT * (1 - part);
        Svg.line(page, "0", y, "100%", y, "grid");
        if (part * most == Math.rint(part * most)) {
          Svg.text(page, Figures.count(Math.round(part * most)), "0", y + 4, "rowname");
        }
      }
      for (int bin = 0; bin < counts.length; bin++) {
        bar(page, counts, bin, most);
      }
      Svg.text(page, "0", Svg.percent(0), HEIGHT + 15, "tick");
      int step = Columns.step(decades + 1, LABELS);
      for (int d = step; d <= decades; d += step) {
        double x = 100 * (1 + d / width) / counts.length;
        if (x <= 100) {
          Svg.text(page, "1e" + (first + d), Svg.percent(x), HEIGHT + 15, "tick");
        }
      }
      Svg.text(page, "margin", "50%", HEIGHT + 31, "axis");
    }
  }

  private static void bar(Markup page, int[][] counts, int bin, int most) {
    double y = HEIGHT;
    for (int kind = 0; kind < CLASSES.size(); kind++) {
      int count = counts[bin][kind];
      if (count > 0) {
        // One decision among thousands is still to be seen.
        double height = Math.max(2, (double) HEIGHT * count / most);
        y -= height;
        page.empty(
            "rect",
            "x",
            Svg.percent(100.0 * bin / counts.length),
            "y",
            Svg.number(y),
            "width",
            Svg.percent(100.0 / counts.length),
            "height",
            Svg.number(height),
            "class",
            CLASSES.get(kind) + " bar");
      }
    }
  }
}
