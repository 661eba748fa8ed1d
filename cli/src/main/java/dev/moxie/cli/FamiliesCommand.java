package dev.moxie.cli;

import dev.moxie.converter.family.Evidence;
import dev.moxie.converter.family.Layout;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.text.Lines;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code moxie families}. */
@Command(
    name = "families",
    description =
        "Lists the families of models that are supported, with the evidence for each, and with"
            + " what is not verified.")
final class FamiliesCommand implements Callable<Integer> {
  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Option(names = "--markdown", description = "Print a table for a page.")
  private boolean markdown;

  @Override
  public Integer call() {
    List<Evidence> all = Evidence.all();
    if (json) {
      System.out.println(
          StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(all));
    } else {
      System.out.println(markdown ? table(all) : cards(all));
    }
    return 0;
  }

  private static String cards(List<Evidence> all) {
    var lines = new Lines();
    for (Evidence e : all) {
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
    return lines.toString();
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
    return e.of().layouts().stream().map(Layout::name).collect(Collectors.joining(", "));
  }

  private static String executions(Evidence e) {
    return e.fused() == null ? "plain, fused" : "plain";
  }

  private static List<String> open(Evidence e) {
    List<String> open = new ArrayList<>(e.open());
    if (e.totals().isEmpty()) {
      open.add("published totals, since no released config.json was at hand");
    }
    if (e.fused() != null) {
      open.add("the fused graph, which has no operators for " + e.fused());
    }
    open.add("released weights");
    return open;
  }
}
