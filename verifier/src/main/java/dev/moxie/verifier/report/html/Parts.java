package dev.moxie.verifier.report.html;

import dev.moxie.format.text.Line;
import dev.moxie.verifier.report.Figures;
import dev.moxie.verifier.report.Markup;
import dev.moxie.verifier.report.Verdict;
import java.util.List;

/** Small pieces that sections are made of. */
final class Parts {
  private static final int SENTENCES_SHOWN = 20;

  private Parts() {}

  /** A verdict as a word with a sign, so that its colour is not needed. */
  static void badge(Markup page, Verdict verdict) {
    page.element(
        "span",
        verdict.passed() ? "✓ pass" : "✗ FAIL",
        "class",
        verdict.passed() ? "badge pass" : "badge fail");
  }

  static void heading(Markup page, String title, Verdict verdict) {
    try (var _ = page.open("h2")) {
      badge(page, verdict);
      page.text(title);
    }
  }

  /** The first items of a list, and how many more there are. */
  static void list(Markup page, List<?> items, int shown) {
    try (var _ = page.open("ul")) {
      items.stream().limit(shown).forEach(item -> page.element("li", Line.of(item.toString())));
      if (items.size() > shown) {
        page.element("li", Figures.text("… and %,d more", items.size() - shown));
      }
    }
  }

  /** Sentences of a diagnosis, if there are any. */
  static void diagnosis(Markup page, List<String> sentences, String kind) {
    if (!sentences.isEmpty()) {
      try (var _ = page.open("div", "class", kind)) {
        page.element("h3", "Diagnosis");
        list(page, sentences, SENTENCES_SHOWN);
      }
    }
  }

  /** A chart with its title; what is drawn comes after. */
  static Markup.Open figure(Markup page, String title, String explanation) {
    Markup.Open figure = page.open("figure");
    try (var _ = page.open("figcaption")) {
      page.element("h3", title);
      page.element("p", explanation);
    }
    return figure;
  }

  /** Something that is there on demand. */
  static Markup.Open details(Markup page, String title) {
    Markup.Open details = page.open("details");
    page.element("summary", title);
    return details;
  }

  /** A sentence where only the first layers are drawn; otherwise nothing. */
  static String cut(int layers, int drawn) {
    return layers > drawn
        ? Figures.text(" Only the first %,d of %,d layers are drawn.", drawn, layers)
        : "";
  }
}
