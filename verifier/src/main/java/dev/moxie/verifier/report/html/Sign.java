package dev.moxie.verifier.report.html;

import java.util.Locale;

/** What can be drawn on a cell of a heat map, in units of the cell. */
enum Sign {
  SLASH("M%d.25 %d.75l.5-.5"),
  CROSS("M%d.25 %d.25l.5 .5m0-.5l-.5 .5"),
  DEAD("M%d.25 %d.25l.5 .5m0-.5l-.5 .5"),
  DASH("M%d.3 %d.5h.4");

  private final String path;

  Sign(String path) {
    this.path = path;
  }

  String at(int row, int column) {
    return path.formatted(column, row);
  }

  /** Its class in the style sheet. */
  String kind() {
    return "mark " + name().toLowerCase(Locale.ROOT);
  }
}
