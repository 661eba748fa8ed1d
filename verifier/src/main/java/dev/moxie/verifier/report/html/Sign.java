package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Figures;
import java.util.Locale;

/** What can be drawn on a cell of a heat map, in units of the cell. */
enum Sign {
  SLASH("M%d.25 %d.75l.5-.5"),
  CROSS("M%d.25 %d.25l.5 .5m0-.5l-.5 .5"),
  DEAD("M%d.25 %d.25l.5 .5m0-.5l-.5 .5"),
  DASH("M%d.4 %d.5h.2");

  private final String path;

  Sign(String path) {
    this.path = path;
  }

  String at(int row, int column) {
    return Figures.text(path, column, row);
  }

  /** Its class in the style sheet. */
  String kind() {
    return "mark " + name().toLowerCase(Locale.ROOT);
  }
}
