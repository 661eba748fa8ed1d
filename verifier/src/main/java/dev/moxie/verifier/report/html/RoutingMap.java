package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Markup;
import dev.moxie.verifier.report.Report;
import java.util.List;

/** Which decisions agree, layers × tokens. */
final class RoutingMap {
  static final int LAYERS = 200;
  private static final int COLUMNS = 240;

  private RoutingMap() {}

  static void draw(Markup page, List<Report.LayerRouting> routing) {
    List<Report.LayerRouting> layers = routing.stream().limit(LAYERS).toList();
    int tokens = layers.stream().mapToInt(layer -> layer.decisions().length()).max().orElse(0);
    Columns columns = Columns.of(tokens, COLUMNS);
    var map = new HeatMap(layers.stream().map(layer -> "L" + layer.layer()).toList(), columns);
    for (int row = 0; row < layers.size(); row++) {
      String decisions = layers.get(row).decisions();
      for (int column = 0; columns.from(column) < decisions.length(); column++) {
        draw(map, worst(decisions, columns, column), row, column);
      }
    }
    try (var _ = Parts.figure(page, "Routing agreement", explanation(routing.size(), columns))) {
      try (var legend = Legend.open(page)) {
        legend.cell("match", null, "same experts");
        legend.cell("tie", Sign.SLASH, "others, where rounding may decide (tie)");
        legend.cell("mismatch", Sign.CROSS, "other experts (mismatch)");
      }
      map.draw(page, "Heat map of routing decisions by layer and token", "token");
    }
  }

  private static String explanation(int layers, Columns columns) {
    String text = "Each layer on the reference's own input; one row per layer.";
    if (columns.span() > 1) {
      text +=
          Figures.text(
              " Each column stands for %d neighbouring tokens of %s and shows the worst of them.",
              columns.span(), Figures.count(columns.items()));
    }
    return text + Parts.cut(layers, LAYERS);
  }

  private static char worst(String decisions, Columns columns, int column) {
    int end = Math.min(columns.to(column), decisions.length());
    String some = decisions.substring(columns.from(column), end);
    return some.indexOf('X') >= 0 ? 'X' : some.indexOf('T') >= 0 ? 'T' : 'M';
  }

  private static void draw(HeatMap map, char decision, int row, int column) {
    switch (decision) {
      case 'X' -> {
        map.cell("mismatch", row, column);
        map.mark(Sign.CROSS, row, column);
      }
      case 'T' -> {
        map.cell("tie", row, column);
        map.mark(Sign.SLASH, row, column);
      }
      default -> map.cell("match", row, column);
    }
  }
}
