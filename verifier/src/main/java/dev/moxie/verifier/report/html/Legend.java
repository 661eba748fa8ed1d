package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Markup;
import org.jspecify.annotations.Nullable;

/** What the shapes and colours of a chart mean. */
final class Legend implements AutoCloseable {
  private final Markup page;
  private final Markup.Open list;

  private Legend(Markup page) {
    this.page = page;
    this.list = page.open("ul", "class", "legend");
  }

  static Legend open(Markup page) {
    return new Legend(page);
  }

  /** A cell of a heat map or a piece of a bar. */
  void cell(String kind, @Nullable Sign sign, String meaning) {
    try (var _ = page.open("li")) {
      try (var _ = page.open("svg", "viewBox", "0 0 1 1", "class", "key map gaps")) {
        page.empty("path", "class", kind, "d", "M0 0h1v1h-1z");
        if (sign != null) {
          page.empty("path", "class", sign.kind(), "d", sign.at(0, 0));
        }
      }
      page.text(meaning);
    }
  }

  /** A symbol of a chart of points. */
  void symbol(Runnable drawing, String meaning) {
    try (var _ = page.open("li")) {
      try (var _ = page.open("svg", "viewBox", "-8 -8 16 16", "class", "key")) {
        drawing.run();
      }
      page.text(meaning);
    }
  }

  @Override
  public void close() {
    list.close();
  }
}
