package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Markup;

/** A row of numbers with their names. */
final class Counts implements AutoCloseable {
  private final Markup page;
  private final Markup.Open list;

  private Counts(Markup page) {
    this.page = page;
    this.list = page.open("dl", "class", "counts");
  }

  static Counts open(Markup page) {
    return new Counts(page);
  }

  void add(String name, long count) {
    add(name, Figures.count(count), "");
  }

  /** A count of something that should not be. */
  void bad(String name, long count) {
    add(name, Figures.count(count), count == 0 ? "" : "bad");
  }

  void add(String name, String value) {
    add(name, value, "");
  }

  private void add(String name, String value, String kind) {
    try (var _ = page.open("div", "class", kind)) {
      page.element("dt", name);
      page.element("dd", value);
    }
  }

  @Override
  public void close() {
    list.close();
  }
}
