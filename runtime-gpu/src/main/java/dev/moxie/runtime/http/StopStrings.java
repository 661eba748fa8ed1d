package dev.moxie.runtime.http;

import java.util.List;

/**
 * Lets text pass until one of some strings comes, holding back what may be the beginning of one.
 */
final class StopStrings {
  private final List<String> stops;
  private String held = "";
  private boolean stopped;

  StopStrings(List<String> stops) {
    this.stops = stops;
  }

  /** What may be shown of more text; nothing after a stop. */
  String accept(String more) {
    if (stopped) {
      return "";
    }
    String text = held + more;
    int first = text.length();
    for (String stop : stops) {
      int at = text.indexOf(stop);
      if (at >= 0 && at < first) {
        first = at;
        stopped = true;
      }
    }
    if (stopped) {
      held = "";
      return text.substring(0, first);
    }
    int safe = text.length();
    for (String stop : stops) {
      safe = Math.min(safe, text.length() - begun(text, stop));
    }
    held = text.substring(safe);
    return text.substring(0, safe);
  }

  /** Whether one has come. */
  boolean isStopped() {
    return stopped;
  }

  /** What was held back, where the text ends without a stop. */
  String rest() {
    String rest = held;
    held = "";
    return rest;
  }

  /** The longest end of a text that a stop begins with. */
  private static int begun(String text, String stop) {
    int most = Math.min(text.length(), stop.length() - 1);
    for (int length = most; length > 0; length--) {
      if (text.regionMatches(text.length() - length, stop, 0, length)) {
        return length;
      }
    }
    return 0;
  }
}
