package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Comparison;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.LayerErrors;
import dev.moxie.verifier.report.Markup;
import dev.moxie.verifier.report.Report;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.DoubleStream;

/**
 * Errors by layer as shares of their own bounds, on a logarithmic scale: each layer alone, and from
 * the tokens on.
 */
final class LayerErrorChart {
  private static final int HEIGHT = 220;
  private static final int LABELS = 12;
  private static final int SIDE_BY_SIDE = 24;
  private static final int LOWEST = -8;
  private static final int HIGHEST = 12;

  private final Markup page;
  private final List<Report.Layer> layers;
  private final int low;
  private final int high;

  private LayerErrorChart(Markup page, List<Report.Layer> layers) {
    this.page = page;
    this.layers = layers;
    double[] decades =
        layers.stream()
            .flatMapToDouble(layer -> DoubleStream.of(alone(layer), accumulated(layer)))
            .filter(ratio -> ratio > 0 && Double.isFinite(ratio))
            .map(Math::log10)
            .toArray();
    double least = DoubleStream.of(decades).min().orElse(-1);
    double most = DoubleStream.of(decades).max().orElse(0);
    this.low = Math.clamp((int) Math.floor(least), LOWEST, -1);
    this.high = Math.clamp((int) Math.floor(most) + 1, 1, HIGHEST);
  }

  static void draw(Markup page, List<Report.Layer> all) {
    List<Report.Layer> layers = all.stream().limit(RoutingMap.LAYERS).toList();
    try (var _ =
        Parts.figure(
            page,
            "Error by layer",
            "As a share of its own bound, on a logarithmic scale. Alone: on the reference's input"
                + " to the layer, of all its steps the one nearest to its bound. From the tokens"
                + " on: the output where errors of the layers before add up."
                + Parts.cut(all.size(), RoutingMap.LAYERS))) {
      try (var legend = Legend.open(page)) {
        legend.symbol(() -> page.empty("circle", "r", "4", "class", "alone"), "each layer alone");
        legend.symbol(
            () -> page.empty("use", "href", Symbols.DIAMOND, "class", "accumulated"),
            "from the tokens on");
        legend.symbol(() -> page.empty("use", "href", Symbols.CROSS, "class", "failed"), "fails");
        legend.symbol(() -> Svg.line(page, "-8", 0, "8", 0, "bound"), "bound");
      }
      new LayerErrorChart(page, layers).plot();
    }
  }

  private static double alone(Report.Layer layer) {
    return LayerErrors.alone(layer).ratio();
  }

  /** Nothing to draw where it was not computed: a layer is left out, so none is. */
  private static double accumulated(Report.Layer layer) {
    return layer.accumulated() == null ? Double.NaN : layer.accumulated().worst().ratio();
  }

  private void plot() {
    try (var _ = Svg.drawing(page, "plot wide", HEIGHT + 34, "Chart of errors by layer")) {
      scale();
      // Few layers have room for both side by side.
      int shift = layers.size() <= SIDE_BY_SIDE ? 6 : 0;
      trend(LayerErrorChart::alone, "trend alone", -shift);
      if (layers.stream().allMatch(layer -> layer.accumulated() != null)) {
        trend(LayerErrorChart::accumulated, "trend accumulated", shift);
      }
      try (var _ = page.open("g", "transform", Figures.text("translate(%d 0)", shift))) {
        for (int i = 0; i < layers.size(); i++) {
          Comparison accumulated = layers.get(i).accumulated();
          if (accumulated != null) {
            point(i, accumulated.worst(), accumulated.verdict().passed(), "accumulated");
          }
        }
      }
      try (var _ = page.open("g", "transform", Figures.text("translate(-%d 0)", shift))) {
        for (int i = 0; i < layers.size(); i++) {
          Report.Layer layer = layers.get(i);
          point(i, LayerErrors.alone(layer), layer.verdict().passed(), "alone");
        }
      }
      int step = Columns.step(layers.size(), LABELS);
      for (int i = 0; i < layers.size(); i += step) {
        Svg.text(page, "" + layers.get(i).layer(), Svg.percent(across(i)), HEIGHT + 15, "tick");
      }
      Svg.text(page, "layer", "50%", HEIGHT + 31, "axis");
    }
  }

  private void scale() {
    double bound = down(1);
    page.empty("rect", "width", "100%", "height", Svg.number(bound), "class", "beyond");
    int step = Math.max(1, Math.ceilDiv(high - low, 8));
    for (int decade = low; decade <= high; decade++) {
      double y = down(Math.pow(10, decade));
      Svg.line(page, "0", y, "100%", y, decade == 0 ? "bound" : "grid");
      if (decade % step == 0) {
        String kind = decade == 0 ? "rowname boundname" : "rowname";
        Svg.text(page, percent(decade), "0", y + 4, kind);
      }
    }
  }

  /** A power of ten in percent. */
  private static String percent(int decade) {
    return decade > 2 || decade < -5
        ? "1e" + (decade + 2) + " %"
        : new BigDecimal(BigInteger.ONE, -decade - 2).toPlainString() + " %";
  }

  /** The same points joined, in a drawing of their own that stretches. */
  private void trend(ToDoubleFunction<Report.Layer> ratio, String kind, int shift) {
    var points = new StringBuilder();
    for (int i = 0; i < layers.size(); i++) {
      points
          .append(Svg.number(across(i)))
          .append(' ')
          .append(Svg.number(down(ratio.applyAsDouble(layers.get(i)))))
          .append(' ');
    }
    try (var _ =
        page.open(
            "svg",
            "x",
            Integer.toString(shift),
            "width",
            "100%",
            "height",
            Integer.toString(HEIGHT),
            "viewBox",
            "0 0 100 " + HEIGHT,
            "preserveAspectRatio",
            "none")) {
      page.empty("polyline", "class", kind, "points", points.toString());
    }
  }

  private void point(int i, Comparison.Element worst, boolean holds, String kind) {
    String x = Svg.percent(across(i));
    String y = Svg.number(down(worst.ratio()));
    try (var _ = page.open("g", "class", kind)) {
      page.element(
          "title",
          Figures.text(
              "layer %d: %s of its bound, at [%d, %d]",
              layers.get(i).layer(), Figures.percent(worst.ratio()), worst.token(), worst.index()));
      if (kind.equals("alone")) {
        page.empty("circle", "cx", x, "cy", y, "r", "4");
      } else {
        page.empty("use", "href", Symbols.DIAMOND, "x", x, "y", y);
      }
      if (!holds) {
        page.empty("use", "href", Symbols.CROSS, "x", x, "y", y, "class", "failed");
      }
    }
  }

  /** In percent of the width. */
  private double across(int i) {
    return 100 * (i + 0.5) / layers.size();
  }

  /** In pixels from the top; what is no number is beyond all bounds. */
  private double down(double ratio) {
    if (Double.isNaN(ratio)) {
      return 0;
    }
    double share = (Math.log10(ratio) - low) / (high - low);
    return HEIGHT * (1 - Math.clamp(share, 0, 1));
  }
}
