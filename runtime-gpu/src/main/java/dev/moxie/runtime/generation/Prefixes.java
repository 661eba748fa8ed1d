package dev.moxie.runtime.generation;

import java.util.Collection;

/** Words in order, so that all that a text has at some place are found letter by letter. */
final class Prefixes {
  private final String[] words;

  Prefixes(Collection<String> words) {
    this.words = words.stream().sorted().toArray(String[]::new);
  }

  /** What is told of a word that was found. */
  @FunctionalInterface
  interface Found {
    void word(String word);
  }

  /** Tells of every word that stands in a text from {@code at} on, the shortest first. */
  void each(String text, int at, Found found) {
    int low = 0;
    int high = words.length;
    for (int length = 0; low < high; length++) {
      // All words from low to high begin alike; the one that ends here is the first.
      if (length > 0 && words[low].length() == length) {
        found.word(words[low]);
        low++;
      }
      if (at + length >= text.length()) {
        return;
      }
      char next = text.charAt(at + length);
      low = first(low, high, length, next);
      high = first(low, high, length, next + 1);
    }
  }

  /** The longest of them, as many characters; 0 without one. */
  int longest(String text, int at) {
    int[] longest = {0};
    each(text, at, word -> longest[0] = word.length());
    return longest[0];
  }

  /** The first word whose letter at a place is not below another. */
  private int first(int from, int to, int place, int letter) {
    int low = from;
    int high = to;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (words[middle].charAt(place) < letter) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
