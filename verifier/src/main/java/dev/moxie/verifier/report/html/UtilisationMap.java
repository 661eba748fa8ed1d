package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Markup;
import dev.moxie.verifier.report.Report;
import dev.moxie.runtime.execution.Utilisation;
import java.util.List;

/** How often each expert is chosen, layers × experts, relative to even use. */
final class UtilisationMap {
  private static final int COLUMNS = 256;

  /** Loads, as multiples of even use, at which the next darker shade begins. */
  private static final double[] SHADES = {0.25, 0.5, 1, 2, 4};

  private UtilisationMap() {}

  static void draw(Markup page, List<Report.LayerRouting> routing) {
    List<Report.LayerRouting> layers = routing.stream().limit(RoutingMap.LAYERS).toList();
    int experts = layers.stream().mapToInt(UtilisationMap::experts).max().orElse(0);
    Columns columns = Columns.of(experts, COLUMNS);
    var map = new HeatMap(layers.stream().map(layer -> "L" + layer.layer()).toList(), columns);
    for (int row = 0; row < layers.size(); row++) {
      Utilisation use = layers.get(row).utilisation();
      for (int column = 0; columns.from(column) < use.counts().size(); column++) {
        draw(map, use, columns, row, column);
      }
    }
    try (var _ = Parts.figure(page, "Expert utilisation", explanation(routing.size(), columns))) {
      try (var legend = Legend.open(page)) {
        legend.cell("u", Sign.DASH, "unused");
        legend.cell("u", Sign.DEAD, "dead");
        legend.cell("u0", null, "under ¼");
        legend.cell("u1", null, "¼ to ½");
        legend.cell("u2", null, "½ to 1");
        legend.cell("u3", null, "1 to 2");
        legend.cell("u4", null, "2 to 4");
        legend.cell("u5", null, "4 and more");
      }
      map.draw(page, "Heat map of expert use by layer and expert", "expert");
    }
  }

  private static int experts(Report.LayerRouting layer) {
    return layer.utilisation().counts().size();
  }

  private static String explanation(int layers, Columns columns) {
    String text =
        "How often the reference's tokens choose each expert, as a multiple of even use. Dead: no"
            + " token chose it, though there are so many that even use would have left none out.";
    if (columns.span() > 1) {
      text +=
          Figures.text(
                  " Each column stands for %d neighbouring experts of %s and shows their mean, and"
                      + " a sign",
                  columns.span(), Figures.count(columns.items()))
              + " if one of them is unused.";
    }
    return text + Parts.cut(layers, RoutingMap.LAYERS);
  }

  private static void draw(HeatMap map, Utilisation use, Columns columns, int row, int column) {
    int from = columns.from(column);
    int to = Math.min(columns.to(column), use.counts().size());
    List<Long> counts = use.counts().subList(from, to);
    double even = (double) use.tokens() * use.expertsPerToken() / use.counts().size();
    double load = counts.stream().mapToLong(Long::longValue).average().orElse(0) / even;
    map.cell(load == 0 ? "u" : "u" + shade(load), row, column);
    if (use.dead().stream().anyMatch(expert -> expert >= from && expert < to)) {
      map.mark(Sign.DEAD, row, column);
    } else if (counts.contains(0L)) {
      map.mark(Sign.DASH, row, column);
    }
  }

  private static int shade(double load) {
    int shade = 0;
    while (shade < SHADES.length && load >= SHADES[shade]) {
      shade++;
    }
    return shade;
  }
}
