package dev.moxie.verifier.diagnosis;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntUnaryOperator;
import java.util.stream.Collectors;

/**
 * Which of the package's parts the reference has in the place of which, in words.
 *
 * @param kind what is permuted, in the plural, as in "experts"
 * @param source by place, the place in the package whose content the reference has there; places
 *     without evidence are absent
 * @param places how many there are
 */
record Assignment(String kind, Map<Integer, Integer> source, int places) {
  private static final int SHOWN = 8;

  /** "experts 2 and 5 swapped", and the like. */
  String words() {
    Map<Integer, Integer> moved = new TreeMap<>(source);
    moved.entrySet().removeIf(entry -> entry.getKey().equals(entry.getValue()));
    if (moved.size() == 2 && new HashSet<>(moved.values()).equals(moved.keySet())) {
      List<Integer> pair = new ArrayList<>(moved.keySet());
      return "%s %d and %d swapped".formatted(kind, pair.get(0), pair.get(1));
    }
    for (int shift = 1; shift < places; shift++) {
      int by = shift;
      if (isEverywhere(place -> (place + by) % places)) {
        return by <= places / 2
            ? "%s moved on by %d".formatted(kind, by)
            : "%s moved back by %d".formatted(kind, places - by);
      }
    }
    if (isEverywhere(place -> places - 1 - place)) {
      return kind + " in reverse order";
    }
    List<Integer> lexical = new ArrayList<>();
    for (int i = 0; i < places; i++) {
      lexical.add(i);
    }
    lexical.sort((a, b) -> a.toString().compareTo(b.toString()));
    // The package's place p holds what is called lexical[p], so what is called e lies at its index.
    if (isEverywhere(lexical::indexOf)) {
      return kind + " in the lexical order of their numbers (0, 1, 10, …)";
    }
    String list =
        moved.entrySet().stream()
            .limit(SHOWN)
            .map(e -> String.format(Locale.ROOT, "%d as %d", e.getKey(), e.getValue()))
            .collect(Collectors.joining(", "));
    return "%s permuted: %s%s".formatted(kind, list, moved.size() > SHOWN ? ", …" : "");
  }

  /** Two places alone fit many orders. */
  private boolean isEverywhere(IntUnaryOperator order) {
    return source.size() > 2
        && source.entrySet().stream()
            .allMatch(entry -> entry.getValue() == order.applyAsInt(entry.getKey()));
  }
}
