package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Markup;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Rows of cells, stretched to the width there is. All cells of a kind are one path, and neighbours
 * of a kind one rectangle, so that large maps stay small files.
 */
final class HeatMap {
  private static final int HEIGHT = 380;
  private static final int LOWEST_ROW = 6;
  private static final int HIGHEST_ROW = 24;
  private static final int LABEL_HEIGHT = 13;
  private static final int MOST_WITH_GAPS = 64;
  private static final int LABELS = 6;

  private final List<String> rows;
  private final Columns columns;
  private final boolean gaps;
  private final Map<String, StringBuilder> cells = new TreeMap<>();
  private final Map<String, StringBuilder> marks = new TreeMap<>();
  private String kind = "";
  private int row;
  private int from;
  private int to;

  /**
   * An empty map.
   *
   * @param rows their names
   */
  HeatMap(List<String> rows, Columns columns) {
    this.rows = rows;
    this.columns = columns;
    this.gaps = columns.count() <= MOST_WITH_GAPS;
  }

  /** Fills the next cell; cells come row by row, from left to right. */
  void cell(String kind, int row, int column) {
    if (!gaps && kind.equals(this.kind) && row == this.row && column == to) {
      to++;
      return;
    }
    endRun();
    this.kind = kind;
    this.row = row;
    this.from = column;
    this.to = column + 1;
  }

  private void endRun() {
    if (to > from) {
      cells
          .computeIfAbsent(kind, k -> new StringBuilder())
          .append(Figures.text("M%d %dh%dv1h-%dz", from, row, to - from, to - from));
    }
  }

  /** Draws a sign on a cell, so that its colour is not needed. */
  void mark(Sign sign, int row, int column) {
    marks.computeIfAbsent(sign.kind(), k -> new StringBuilder()).append(sign.at(row, column));
  }

  /** Draws the map with the names of rows and the numbers of columns. */
  void draw(Markup page, String label, String columnName) {
    endRun();
    to = from;
    int height = Math.clamp(HEIGHT / Math.max(1, rows.size()), LOWEST_ROW, HIGHEST_ROW);
    int bottom = height * rows.size();
    try (var _ = Svg.drawing(page, "plot", bottom + 34, label)) {
      try (var _ =
          page.open(
              "svg",
              "width",
              "100%",
              "height",
              Integer.toString(bottom),
              "viewBox",
              Figures.text("0 0 %d %d", columns.count(), rows.size()),
              "preserveAspectRatio",
              "none",
              "class",
              gaps ? "map gaps" : "map")) {
        cells.forEach((kind, path) -> page.empty("path", "class", kind, "d", path.toString()));
        marks.forEach((kind, path) -> page.empty("path", "class", kind, "d", path.toString()));
      }
      int every = Math.ceilDiv(LABEL_HEIGHT, height);
      for (int r = 0; r < rows.size(); r += every) {
        Svg.text(page, rows.get(r), "0", r * height + height / 2 + 4, "rowname");
      }
      int step = Columns.step(columns.items(), LABELS);
      for (int item = 0; item < columns.items(); item += step) {
        int column = item / columns.span();
        double x = 100 * (column + 0.5) / columns.count();
        Svg.text(page, Integer.toString(item), Svg.percent(x), bottom + 15, "tick");
      }
      Svg.text(page, columnName, "50%", bottom + 31, "axis");
    }
  }
}
