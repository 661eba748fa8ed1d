package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Markup;

/** Shapes that charts of the page share, centred on the point where they are used. */
final class Symbols {
  static final String DIAMOND = "#diamond";
  static final String CROSS = "#cross";

  private Symbols() {}

  static void define(Markup page) {
    try (var _ = page.open("svg", "width", "0", "height", "0", "class", "symbols")) {
      try (var _ = page.open("defs")) {
        page.empty("path", "id", "diamond", "d", "M-5 0L0-5 5 0 0 5z");
        page.empty("path", "id", "cross", "d", "M-6-6L6 6M6-6L-6 6");
      }
    }
  }
}
