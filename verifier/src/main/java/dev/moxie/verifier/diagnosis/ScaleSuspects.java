package dev.moxie.verifier.diagnosis;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.verifier.oracle.ScaleShift;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Block scales that were left out or are not those of their block. */
final class ScaleSuspects {
  private static final Map<String, ScaleShift> SHIFTS = shifts();

  private ScaleSuspects() {}

  private static Map<String, ScaleShift> shifts() {
    Map<String, ScaleShift> shifts = new LinkedHashMap<>();
    shifts.put("shifted one row down", new ScaleShift(-1, 0, 0, false));
    shifts.put("shifted one row up", new ScaleShift(1, 0, 0, false));
    shifts.put("shifted one column to the right", new ScaleShift(0, -1, 0, false));
    shifts.put("shifted one column to the left", new ScaleShift(0, 1, 0, false));
    shifts.put("shifted one place on", new ScaleShift(0, 0, -1, false));
    shifts.put("shifted one place back", new ScaleShift(0, 0, 1, false));
    shifts.put("applied that the reference does not apply", ScaleShift.DROPPED);
    return shifts;
  }

  /**
   * Scales of all tensors of a part of a layer displaced, then those of each tensor by itself.
   *
   * @param part of a canonical name, as in ".attention."
   */
  static Stream<Suspect> of(Evidence evidence, int layer, String part) {
    List<String> scaled =
        evidence.pack().rows().stream()
            .filter(row -> row.layer() != null && row.layer() == layer)
            .filter(row -> row.kind() != IndexRow.Kind.SLICE)
            .filter(row -> row.encoding() instanceof BlockScaled)
            .filter(row -> row.name().contains(part))
            .map(IndexRow::name)
            .toList();
    List<Suspect> suspects = new ArrayList<>();
    if (!scaled.isEmpty()) {
      String whose = "all its%s weights".formatted(part.replace('.', ' ').stripTrailing());
      add(suspects, evidence, whose, row -> row.name().contains(part));
    }
    for (String name : scaled) {
      add(suspects, evidence, name, row -> row.name().equals(name));
    }
    return suspects.stream();
  }

  private static void add(
      List<Suspect> suspects, Evidence evidence, String whose, Predicate<IndexRow> which) {
    SHIFTS.forEach(
        (words, shift) ->
            suspects.add(
                Suspect.of(
                    "the block scales of " + whose + " " + words,
                    evidence,
                    (row, stored) -> which.test(row) ? stored.get(row, shift) : stored.get(row))));
  }
}
