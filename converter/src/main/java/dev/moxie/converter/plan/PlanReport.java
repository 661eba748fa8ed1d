package dev.moxie.converter.plan;

import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.Manifest;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A plan for a reader: every output file, and every byte range with where it comes from. */
public final class PlanReport {
  private static final int NAMES_SHOWN = 12;

  private PlanReport() {}

  /** The plan as JSON. */
  private record Plan(
      String family,
      Manifest.PredictionLayers prediction,
      Manifest.@Nullable Cast cast,
      long bytes,
      List<File> files,
      List<String> companions,
      List<String> headersOf,
      List<String> ignored) {}

  private record File(String file, long bytes, List<Range> ranges) {}

  private record Range(
      String tensor,
      long offset,
      long bytes,
      String transform,
      String sourceFile,
      String sourceTensor,
      long sourceOffset,
      @Nullable Scales scales) {}

  /** The block scales that a range's elements are multiplied by. */
  private record Scales(String sourceFile, String sourceTensor, long sourceOffset, long bytes) {}

  /** The plan as one JSON object. */
  public static String json(ConversionPlan plan) {
    return StrictJson.mapper(false)
        .writerWithDefaultPrettyPrinter()
        .writeValueAsString(
            new Plan(
                plan.family().name(),
                plan.prediction(),
                plan.conversion().cast(),
                plan.bytes(),
                plan.shards().stream().map(PlanReport::file).toList(),
                plan.checkpoint().companions(),
                List.copyOf(plan.checkpoint().headers().keySet()),
                plan.checkpoint().ignored()));
  }

  /** The plan as lines for a person. */
  public static String text(ConversionPlan plan) {
    List<String> lines = new ArrayList<>();
    for (ConversionPlan.Shard shard : plan.shards()) {
      lines.add(
          String.format(
              Locale.ROOT,
              "%-36s %,15d bytes  %d tensors from %d source tensors",
              shard.layout().file(),
              shard.bytes(),
              shard.layout().tensors().size(),
              shard.pieces().size()));
    }
    lines.add("headers kept        " + some(plan.checkpoint().headers().keySet()));
    lines.add("copied as they are  " + some(plan.checkpoint().companions()));
    if (!plan.checkpoint().ignored().isEmpty()) {
      lines.add("left behind         " + some(plan.checkpoint().ignored()));
    }
    lines.add(
        String.format(
            Locale.ROOT,
            "family %s, %,d bytes of weights in %d files; nothing was written",
            plan.family().name(),
            plan.bytes(),
            plan.shards().size()));
    return String.join("\n", lines);
  }

  /** The names, or the first few of many. */
  private static String some(Collection<String> names) {
    String shown = names.stream().limit(NAMES_SHOWN).collect(Collectors.joining(", "));
    return names.size() > NAMES_SHOWN
        ? shown + " and " + (names.size() - NAMES_SHOWN) + " more"
        : shown;
  }

  private static File file(ConversionPlan.Shard shard) {
    return new File(
        shard.layout().file(),
        shard.bytes(),
        shard.moves().stream()
            .map(
                move ->
                    new Range(
                        move.leaf().source(),
                        move.offset(),
                        move.bytes(),
                        move.piece().transform().id(),
                        move.piece().source().file(),
                        move.piece().source().name(),
                        move.piece().source().offset(),
                        scales(move.piece().transform())))
            .toList());
  }

  private static @Nullable Scales scales(Transform transform) {
    return transform instanceof Transform.Dequantise d
        ? new Scales(d.scales().file(), d.scales().name(), d.scales().offset(), d.scales().bytes())
        : null;
  }
}
