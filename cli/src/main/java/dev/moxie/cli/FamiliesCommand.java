package dev.moxie.cli;

import dev.moxie.converter.family.Evidence;
import dev.moxie.converter.family.Families;
import dev.moxie.converter.family.Family;
import dev.moxie.converter.family.Layout;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.text.Lines;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code moxie families}. */
@Command(
    name = "families",
    description =
        "Lists the families of models that are supported, with the evidence for each, and with"
            + " what is not verified; of a family that is named, also what it makes of the keys of"
            + " config.json.")
final class FamiliesCommand implements Callable<Integer> {
  @Parameters(arity = "0..1", paramLabel = "FAMILY", description = "A family, or a model_type.")
  private @Nullable String family;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Option(names = "--markdown", description = "Print a table for a page.")
  private boolean markdown;

  @Override
  public Integer call() {
    List<Evidence> shown = family == null ? Evidence.all() : List.of(named(family));
    if (json) {
      Object value = family == null ? shown : KeyTable.json(shown.getFirst());
      System.out.println(
          StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(value));
    } else if (markdown) {
      System.out.println(table(shown));
    } else {
      var lines = new Lines();
      shown.forEach(evidence -> addCard(lines, evidence));
      if (family != null) {
        KeyTable.add(lines, shown.getFirst().of());
      }
      System.out.println(lines);
    }
    return 0;
  }

  private static Evidence named(String name) {
    return Evidence.all().stream()
        .filter(e -> e.family().equals(name) || e.of().modelTypes().contains(name))
        .findFirst()
        .orElseThrow(
            () ->
                new UsageException(
                    "FAMILY",
                    "one of " + Families.ALL.stream().map(Family::name).toList(),
                    "\"" + name + "\"",
                    "pass one of these, or none for a list"));
  }

  private static void addCard(Lines lines, Evidence e) {
    lines.add("%s", e.family());
    lines.add("  model_type   %s", types(e, "", ""));
    lines.add("  models       %s", e.models());
    lines.add("  brings       %s", e.brings());
    lines.add("  layouts      %s", layouts(e));
    lines.add(
        "  checked      %d checkpoint%s against %s",
        e.checkpoints().size(),
        e.checkpoints().size() == 1 ? "" : "s",
        String.join(", ", e.references()));
    lines.add("  executions   %s", executions(e));
    lines.add("  not checked  %s", String.join("; ", open(e)));
  }

  /** The table of {@code docs/families.md}. */
  static String table(List<Evidence> all) {
    var lines = new Lines();
    lines.add("| family (`model_type`) | models | what it brings | checked | not checked |");
    lines.add("|---|---|---|---|---|");
    for (Evidence e : all) {
      lines.add(
          "| %s | %s | %s | %s; layouts: %s; executions: %s | %s |",
          types(e, "`", "`"),
          e.models(),
          e.brings(),
          e.checkpoints().stream().map(c -> "`" + c + "`").collect(Collectors.joining(", "))
              + " against "
              + String.join(", ", e.references()),
          layouts(e),
          executions(e),
          String.join("; ", open(e)));
    }
    return lines.toString();
  }

  private static String types(Evidence e, String before, String after) {
    return e.of().modelTypes().stream()
        .sorted()
        .map(type -> before + type + after)
        .collect(Collectors.joining(", "));
  }

  private static String layouts(Evidence e) {
    return e.of().layouts().stream().map(Layout::name).distinct().collect(Collectors.joining(", "));
  }

  private static String executions(Evidence e) {
    return e.fused() == null ? "plain, fused" : "plain";
  }

  private static List<String> open(Evidence e) {
    List<String> open = new ArrayList<>(e.open());
    List<String> totals = e.totals();
    if (totals == null) {
      open.addFirst("no public weights, so that config.json and names of tensors are of our own");
    } else if (totals.isEmpty()) {
      open.add("published totals, since no released config.json was at hand");
    }
    if (e.fused() != null) {
      open.add("the fused graph, which has no operators for " + e.fused());
    }
    if (totals != null) {
      open.add("released weights");
    }
    return open;
  }
}
