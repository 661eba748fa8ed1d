package dev.moxie.verifier.diff;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Recomputed;
import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.ConversionPlan;
import dev.moxie.converter.plan.Place;
import dev.moxie.converter.plan.Planner;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.encoding.Encoding;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.WeightHeader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** A checkpoint: of a family that this build knows, or of any other. */
final class CheckpointSide implements Side {
  private final Checkpoint checkpoint;
  private final @Nullable ConversionPlan plan;
  private final @Nullable String notUnderstood;

  private CheckpointSide(
      Checkpoint checkpoint, @Nullable ConversionPlan plan, @Nullable String notUnderstood) {
    this.checkpoint = checkpoint;
    this.plan = plan;
    this.notUnderstood = notUnderstood;
  }

  /**
   * Opens a checkpoint.
   *
   * @param ignoredConfigKeys keys of config.json that were declared to be without effect
   */
  static CheckpointSide open(Path path, Set<String> ignoredConfigKeys) {
    Checkpoint checkpoint = Checkpoint.open(path);
    StrictJson.readObject(path.resolve(Companions.CONFIG));
    @Nullable ConversionPlan plan = null;
    @Nullable String notUnderstood = null;
    try {
      plan =
          Planner.plan(
              checkpoint, new Conversion(ignoredConfigKeys, Conversion.Prediction.KEEP, null));
    } catch (InvalidInputException e) {
      notUnderstood = String.valueOf(e.getMessage());
    }
    return new CheckpointSide(checkpoint, plan, notUnderstood);
  }

  @Override
  public Diff.Model model() {
    return new Diff.Model(
        checkpoint.folder().toString(),
        "checkpoint",
        plan == null ? null : plan.family().name(),
        checkpoint.headers().size(),
        checkpoint.tensorCount(),
        checkpoint.headers().values().stream().mapToLong(WeightHeader::fileBytes).sum());
  }

  @Override
  public @Nullable Manifest manifest() {
    return null;
  }

  @Override
  public @Nullable Architecture architecture() {
    return plan == null ? null : plan.architecture();
  }

  @Override
  public @Nullable Map<String, Leaf> canonical() {
    if (plan == null) {
      return null;
    }
    Map<String, ConversionPlan.Move> moves = new LinkedHashMap<>();
    for (ConversionPlan.Shard shard : plan.shards()) {
      shard.moves().forEach(move -> moves.put(name(move, move.tensor().spec().name()), move));
    }
    Map<String, Leaf> leaves = new LinkedHashMap<>();
    moves.forEach(
        (name, move) -> {
          Role role = move.tensor().spec().role();
          if (role != Role.SCALE && role != Role.OPAQUE) {
            boolean scaled = move.tensor().encoding() instanceof BlockScaled;
            String scales = name(move, BlockScaled.scaleName(move.tensor().spec().name()));
            leaves.put(name, leaf(name, move, scaled ? moves.get(scales) : null));
          }
        });
    return leaves;
  }

  private static String name(ConversionPlan.Move move, String tensor) {
    return IndexRow.describe(tensor, move.leaf().expert(), move.leaf().projection());
  }

  private Leaf leaf(String name, ConversionPlan.Move move, ConversionPlan.@Nullable Move scales) {
    Place place = move.piece().place();
    Encoding encoding = move.tensor().encoding();
    Shape stored = move.leaf().shape();
    return new Leaf(
        name,
        move.tensor().spec().name(),
        move.leaf().expert(),
        move.leaf().projection() == null ? "" : move.leaf().projection().id(),
        place.tensor().dtype(),
        encoding,
        encoding instanceof BlockScaled scaled ? scaled.matrices(stored) : stored,
        extent(place),
        null,
        scales == null ? null : leaf(name, scales, null));
  }

  @Override
  public Map<String, Leaf> own() {
    Map<String, Leaf> leaves = new LinkedHashMap<>();
    for (SourceTensor tensor : checkpoint.tensors().values()) {
      if (!Recomputed.is(tensor)) {
        leaves.put(
            tensor.name(),
            OwnNames.tensor(
                tensor.name(),
                tensor.dtype(),
                Encoding.PLAIN,
                tensor.shape(),
                extent(Place.of(tensor)),
                null,
                null));
      }
    }
    return OwnNames.of(leaves);
  }

  private Extent extent(Place place) {
    SourceTensor tensor = place.tensor();
    Extent whole =
        new Extent(
            checkpoint.folder().resolve(tensor.file()), tensor.offset(), tensor.bytes(), null);
    int width = Math.max(1, tensor.dtype().bits() / Byte.SIZE);
    return place.view() == null ? whole : whole.seen(place.view(), width);
  }

  @Override
  public Set<String> companions() {
    return new TreeSet<>(checkpoint.companions());
  }

  @Override
  public byte[] companion(String name) {
    Path file = checkpoint.folder().resolve(name);
    return StrictJson.readBounded(file, StrictJson.MAX_FILE_BYTES);
  }

  @Override
  public List<String> notCompared() {
    List<String> sentences = new ArrayList<>();
    if (plan == null) {
      sentences.add(
          "the architecture of "
              + checkpoint.folder()
              + ", which is not understood: "
              + Objects.requireNonNull(notUnderstood));
    }
    if (!checkpoint.left().isEmpty()) {
      sentences.add("files of " + checkpoint.folder() + ": " + checkpoint.left());
    }
    long opaque =
        plan == null
            ? checkpoint.superseded().size()
            : plan.shards().stream()
                .flatMap(shard -> shard.layout().tensors().stream())
                .filter(tensor -> tensor.spec().role() == Role.OPAQUE)
                .count();
    Side.opaque(opaque, checkpoint.folder().toString()).ifPresent(sentences::add);
    return sentences;
  }

  @Override
  public void close() {
    // Nothing stays open.
  }
}
