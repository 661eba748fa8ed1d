package dev.moxie.converter.plan;

import dev.moxie.converter.checkpoint.LeftBehind;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.text.Lines;
import dev.moxie.format.view.View;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
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
      Manifest.@Nullable Quantisation quantisation,
      long bytes,
      Manifest.Layout layout,
      Map<String, Long> transforms,
      Estimate estimate,
      List<File> files,
      List<String> companions,
      List<String> headersOf,
      List<LeftBehind> left,
      List<String> notes) {}

  private record File(String file, long bytes, List<Range> ranges) {}

  private record Range(
      String tensor,
      long offset,
      long bytes,
      String transform,
      String sourceFile,
      String sourceTensor,
      long sourceOffset,
      @Nullable Window view,
      @Nullable Scales scales) {}

  /** Which elements of a source tensor, counted from its first, in which order. */
  private record Window(long offset, List<Long> shape, List<Long> strides) {}

  /** The scales that a range's elements are multiplied by. */
  private record Scales(
      String sourceFile,
      String sourceTensor,
      long sourceOffset,
      long bytes,
      @Nullable Window view) {}

  /**
   * What carrying out a plan costs.
   *
   * @param bytesPerSecond written, measured just now with this plan's own bytes
   * @param seconds that all of them take at this rate
   * @param diskNeeded bytes
   * @param diskFree bytes
   */
  public record Estimate(double bytesPerSecond, double seconds, long diskNeeded, long diskFree) {
    /** Measures the rate. */
    public static Estimate measure(PackageContents contents, Path target, int threads) {
      long free = DiskSpace.free(target);
      double rate = CopyRate.measure(contents, target, threads, free);
      return new Estimate(rate, contents.bytes() / rate, contents.bytes(), free);
    }
  }

  /** The plan as one JSON object. */
  public static String json(ConversionPlan plan, Estimate estimate) {
    return StrictJson.mapper(false)
        .writerWithDefaultPrettyPrinter()
        .writeValueAsString(
            new Plan(
                plan.family().name(),
                plan.prediction(),
                plan.conversion().cast(),
                plan.conversion().quantisation(),
                plan.bytes(),
                plan.conversion().layout(),
                transforms(plan),
                estimate,
                plan.shards().stream().map(PlanReport::file).toList(),
                plan.checkpoint().companions(),
                List.copyOf(plan.checkpoint().headers().keySet()),
                plan.checkpoint().left(),
                plan.checkpoint().notes()));
  }

  /** The plan as lines for a person. */
  public static String text(ConversionPlan plan, Estimate estimate) {
    var lines = new Lines();
    for (ConversionPlan.Shard shard : plan.shards()) {
      lines.add(
          "%-36s %,15d bytes  %d tensors from %d source tensors",
          shard.layout().file(),
          shard.bytes(),
          shard.layout().tensors().size(),
          ConversionPlan.tensors(shard.pieces().stream().map(ConversionPlan.Piece::place)));
    }
    lines.add(
        "transforms          %s",
        transforms(plan).entrySet().stream()
            .map(entry -> entry.getKey() + " of " + entry.getValue() + " tensors")
            .collect(Collectors.joining(", ")));
    lines.add("headers kept        %s", some(plan.checkpoint().headers().keySet()));
    lines.add("copied as they are  %s", some(plan.checkpoint().companions()));
    List<LeftBehind> left = plan.checkpoint().left();
    if (!left.isEmpty()) {
      lines.add("left behind         %s", some(left.stream().map(LeftBehind::toString).toList()));
    }
    plan.checkpoint().notes().forEach(note -> lines.add("note                %s", note));
    lines.add(
        "disk                %,d bytes needed, %,d free",
        estimate.diskNeeded(), estimate.diskFree());
    lines.add(
        "time                about %s at %.2f GB/s, as measured just now",
        time(estimate.seconds()), estimate.bytesPerSecond() / 1e9);
    lines.add(
        "family %s, %,d bytes of weights in %d files; no package was written",
        plan.family().name(), plan.bytes(), plan.shards().size());
    return lines.toString();
  }

  /** How many source tensors each transform takes. */
  private static Map<String, Long> transforms(ConversionPlan plan) {
    return plan.shards().stream()
        .flatMap(shard -> shard.pieces().stream())
        .collect(
            Collectors.groupingBy(
                piece -> piece.transform().id(),
                TreeMap::new,
                Collectors.collectingAndThen(
                    Collectors.toList(),
                    pieces ->
                        ConversionPlan.tensors(pieces.stream().map(ConversionPlan.Piece::place)))));
  }

  private static String time(double seconds) {
    return seconds < 120
        ? String.format(Locale.ROOT, "%.0f s", Math.ceil(seconds))
        : String.format(Locale.ROOT, "%.0f min", Math.ceil(seconds / 60));
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
                        window(move.piece().place().view()),
                        scales(move.piece().transform())))
            .toList());
  }

  private static @Nullable Window window(@Nullable View view) {
    return view == null ? null : new Window(view.offset(), view.shape().dims(), view.strides());
  }

  private static @Nullable Scales scales(Transform transform) {
    return transform
        .decoding()
        .map(Transform.Dequantise::scales)
        .map(
            scales ->
                new Scales(
                    scales.tensor().file(),
                    scales.tensor().name(),
                    scales.tensor().offset(),
                    scales.bytes(),
                    window(scales.view())))
        .orElse(null);
  }
}
