package dev.moxie.verifier.report.html;

import dev.moxie.verifier.report.Markup;
import java.util.Locale;

/** Coordinates and text of drawings: across in percent of the width, down in pixels. */
final class Svg {
  private Svg() {}

  /** Short, and the same in every locale. */
  static String number(double value) {
    String text = String.format(Locale.ROOT, "%.2f", value);
    return text.endsWith(".00") ? text.substring(0, text.length() - 3) : text;
  }

  static String percent(double share) {
    return number(share) + "%";
  }

  /**
   * A drawing as wide as the page has room for.
   *
   * @param plot its class in the style sheet
   */
  static Markup.Open drawing(Markup page, String plot, int height, String label) {
    Markup.Open frame = page.open("div", "class", plot);
    String pixels = Integer.toString(height);
    Markup.Open svg =
        page.open("svg", "width", "100%", "height", pixels, "role", "img", "aria-label", label);
    return () -> {
      svg.close();
      frame.close();
    };
  }

  static void text(Markup page, String text, String x, double y, String kind) {
    page.element("text", text, "x", x, "y", number(y), "class", kind);
  }

  static void line(Markup page, String x1, double y1, String x2, double y2, String kind) {
    page.empty("line", "x1", x1, "y1", number(y1), "x2", x2, "y2", number(y2), "class", kind);
  }
}
