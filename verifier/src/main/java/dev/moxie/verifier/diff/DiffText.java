package dev.moxie.verifier.diff;

import dev.moxie.format.text.Lines;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A comparison as lines for a person. */
public final class DiffText {
  private static final int LINES_SHOWN = 20;
  private static final int LONGEST_VALUE = 120;

  private final Lines lines = new Lines();
  private final int shown;

  private DiffText(int shown) {
    this.shown = shown;
  }

  /**
   * All lines, or the first of every kind.
   *
   * @param all whether to leave none out
   */
  public static String of(Diff diff, boolean all) {
    var text = new DiffText(all ? Integer.MAX_VALUE : LINES_SHOWN);
    text.model("A", diff.a());
    text.model("B", diff.b());
    text.changes("architecture", diff.architecture());
    text.changes("settings", diff.settings());
    text.changes("spelling", diff.spelling());
    text.changes("files", diff.files());
    text.changes("layout", diff.layout());
    text.changes("provenance", diff.provenance());
    text.tensors(diff);
    text.list("likeness", diff.likenesses().stream().map(DiffText::likeness).toList());
    diff.notCompared().forEach(item -> text.lines.add("not compared  %s", item));
    if (diff.trustedDigests() > 0) {
      text.lines.add(
          "not read      %d leaves whose digests are equal in both indexes (--bytes reads them)",
          diff.trustedDigests());
    }
    text.lines.add("verdict       %s", verdict(diff));
    return text.lines.toString();
  }

  private void model(String name, Diff.Model model) {
    lines.add(
        "%-12s  %s  %s%s, %d tensors in %d weight files, %,d bytes",
        name,
        model.path(),
        model.kind(),
        model.family() == null ? ", not understood" : ", family " + model.family(),
        model.tensors(),
        model.files(),
        model.bytes());
  }

  private void changes(String kind, List<Diff.Change> changes) {
    list(
        kind,
        changes.stream()
            .map(
                change ->
                    "%s: %s in A, %s in B"
                        .formatted(change.what(), value(change.a()), value(change.b())))
            .toList());
  }

  private static String value(@Nullable String value) {
    String text = value == null ? "none" : value.replace("\n", ";  ");
    return text.length() > LONGEST_VALUE ? text.substring(0, LONGEST_VALUE) + "…" : text;
  }

  private void tensors(Diff diff) {
    Diff.Tensors tensors = diff.tensors();
    lines.add(
        "%-12s  by their %s names: %d leaves of equal bytes, %d of equal values, %d different",
        "tensors",
        diff.names() == Diff.Names.CANONICAL ? "canonical" : "own",
        tensors.sameBytes(),
        tensors.sameValues(),
        tensors.different());
    list("only in A", tensors.onlyInA().stream().map(DiffText::oneSided).toList());
    list("only in B", tensors.onlyInB().stream().map(DiffText::oneSided).toList());
    list("incomparable", tensors.incomparable().stream().map(DiffText::form).toList());
    List<String> differences = new ArrayList<>();
    List<ExpertLine> experts = new ArrayList<>();
    for (Diff.TensorDifference difference : tensors.differences()) {
      differences.add(difference.name() + "  " + numbers(difference.name(), difference.numbers()));
      difference
          .experts()
          .forEach(expert -> experts.add(new ExpertLine(difference.name(), expert)));
    }
    list("differences", differences);
    experts.sort(Comparator.comparing(line -> line.expert().numbers(), TensorReport.LARGEST_FIRST));
    list("by expert", experts.stream().map(ExpertLine::text).toList());
    list("stored as", encodings(tensors.dtypes()));
  }

  private record ExpertLine(String tensor, Diff.ExpertDifference expert) {
    String text() {
      return "%s, expert %d  %s"
          .formatted(tensor, expert.expert(), numbers(tensor, expert.numbers()));
    }
  }

  private static String oneSided(Diff.OneSided tensor) {
    return "%s  %s%s".formatted(tensor.name(), times(tensor.leaves()), tensor.form());
  }

  private static String form(Diff.Form form) {
    return "%s  %s%s in A, %s in B"
        .formatted(form.name(), times(form.leaves()), form.a(), form.b());
  }

  /** One line for each pair of dtypes: a cast changes nearly every tensor. */
  private static List<String> encodings(List<Diff.Form> forms) {
    Map<String, Integer> leaves = new LinkedHashMap<>();
    forms.forEach(
        form ->
            leaves.merge(
                "%s in A, %s in B".formatted(form.a(), form.b()), form.leaves(), Integer::sum));
    return leaves.entrySet().stream()
        .map(entry -> "%s: %d leaves".formatted(entry.getKey(), entry.getValue()))
        .toList();
  }

  private static String times(int leaves) {
    return leaves == 1 ? "" : leaves + " of ";
  }

  private static String numbers(String tensor, Diff.Numbers numbers) {
    Diff.Place worst = numbers.worst();
    String leaf =
        worst.leaf().startsWith(tensor) ? worst.leaf().substring(tensor.length()) : worst.leaf();
    return String.format(
        Locale.ROOT,
        "rms %s of A's, %,d of %,d %s differ%s, max abs %.3g (%s of A's largest) at%s %s: %.6g in"
            + " A, %.6g in B",
        share(numbers.rms()),
        numbers.differing(),
        numbers.compared(),
        numbers.unit(),
        numbers.notFinite() == 0
            ? ""
            : String.format(Locale.ROOT, ", %,d NaN or infinite", numbers.notFinite()),
        numbers.maxAbs(),
        share(numbers.maxRel()),
        leaf.isEmpty() ? "" : " " + leaf.strip(),
        worst.index(),
        worst.a(),
        worst.b());
  }

  private static String share(@Nullable Double share) {
    return share == null ? "(A is zero)" : String.format(Locale.ROOT, "%.3g", share);
  }

  private static String likeness(Diff.Likeness likeness) {
    String b = likeness.b() + " of B";
    return likeness.a()
        + " of A is "
        + switch (likeness.kind()) {
          case EXPERT, LEAF -> b;
          case TRANSPOSED -> b + ", transposed";
          case REORDERED -> b + ", its values in another order";
        };
  }

  private static String verdict(Diff diff) {
    int trusted = diff.trustedDigests();
    String how =
        (diff.layout().isEmpty() ? "" : ", stored in another layout")
            + (diff.spelling().isEmpty() ? "" : ", settings spelled otherwise")
            + unread(diff);
    return switch (diff.sense()) {
      case SAME_BYTES ->
          "the same model: equal " + (trusted == 0 ? "bytes" : "bytes or digests") + how;
      case SAME_VALUES -> "the same model: equal values, not all in equal bytes" + how;
      case DIFFERENT -> "different: " + String.join(", ", reasons(diff));
    };
  }

  /** On what an equality stands, where it is not the bytes. */
  private static String unread(Diff diff) {
    return diff.trustedDigests() == 0
        ? ""
        : "; of %d of %d leaves digests were compared and bytes not read (--bytes reads them)"
            .formatted(
                diff.trustedDigests(), diff.tensors().sameBytes() + diff.tensors().sameValues());
  }

  private static List<String> reasons(Diff diff) {
    List<String> reasons = new ArrayList<>();
    Diff.Tensors tensors = diff.tensors();
    add(reasons, "architecture", diff.architecture());
    add(reasons, "settings", diff.settings());
    add(reasons, "files", diff.files().stream().filter(Companions::isPart).toList());
    add(reasons, "tensors only in A", tensors.onlyInA());
    add(reasons, "tensors only in B", tensors.onlyInB());
    add(reasons, "tensors that cannot be compared", tensors.incomparable());
    add(reasons, "values of tensors", tensors.differences());
    return reasons;
  }

  private static void add(List<String> reasons, String what, List<?> found) {
    if (!found.isEmpty()) {
      reasons.add("%s (%d)".formatted(what, found.size()));
    }
  }

  private void list(String kind, List<String> items) {
    if (items.isEmpty()) {
      return;
    }
    lines.add("%-12s  %d", kind, items.size());
    items.stream().limit(shown).forEach(item -> lines.add("  %s", item));
    if (items.size() > shown) {
      lines.add("  … and %d more", items.size() - shown);
    }
  }
}
