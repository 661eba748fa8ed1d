package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Markup;

/** A table that scrolls by itself where the screen is narrow. */
final class Table implements AutoCloseable {
  private final Markup page;
  private final Markup.Open frame;
  private final Markup.Open table;

  private Table(Markup page, String... heads) {
    this.page = page;
    this.frame = page.open("div", "class", "scroll", "tabindex", "0");
    this.table = page.open("table");
    try (var _ = page.open("tr")) {
      for (String head : heads) {
        page.element("th", head, "scope", "col");
      }
    }
  }

  static Table open(Markup page, String... heads) {
    return new Table(page, heads);
  }

  void row(boolean holds, String... cells) {
    try (var _ = page.open("tr", "class", holds ? "" : "bad")) {
      for (String cell : cells) {
        page.element("td", cell);
      }
    }
  }

  @Override
  public void close() {
    table.close();
    frame.close();
  }
}
