package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.Config;
import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.model.Role;
import dev.moxie.format.model.TensorSpec;
import dev.moxie.format.model.Tensors;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorDeclaration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * What a release with a given config.json holds: every tensor under its name, in its dtype and
 * shape, layer by layer and expert by expert, block scales after their values.
 */
public final class ReleaseTensors {
  /** Matrices that a release with block scales keeps as they are. */
  private static final Set<Role> NEVER_BLOCK_SCALED =
      EnumSet.of(
          Role.EMBEDDING,
          Role.HEAD,
          Role.ROUTER,
          Role.ROUTER_TABLE,
          Role.ROUTER_PRIMARY,
          Role.ROUTER_PROJECTION,
          Role.ATTENTION_ENTRY,
          Role.ATTENTION_ENTRY_GATE,
          Role.ATTENTION_ENTRY_PLACE,
          Role.ATTENTION_INDEX_KEY,
          Role.ATTENTION_INDEX_GATE,
          Role.ATTENTION_INDEX_PLACE,
          Role.ATTENTION_INDEX_WEIGHTS,
          Role.ATTENTION_STREAMS,
          Role.FEED_FORWARD_STREAMS,
          Role.FINAL_STREAMS,
          Role.SHARED_SWITCH,
          Role.SHARED_MIX,
          Role.DELTA_WRITE,
          Role.DELTA_DECAY,
          Role.DELTA_WRITE_DECAY,
          Role.DELTA_CONVOLUTION,
          Role.CONVOLUTION_TAPS,
          Role.MAMBA_CONVOLUTION,
          Role.MAMBA_DECAY_RATE,
          Role.PREDICTION_EMBEDDING,
          Role.PREDICTION_COMBINE,
          Role.PREDICTION_HEAD);

  private final Family.Description description;
  private final Layout layout;
  private final Map<String, Shape> shapes = new HashMap<>();
  private final Set<String> names = new HashSet<>();
  private final List<TensorDeclaration> tensors = new ArrayList<>();

  private ReleaseTensors(Family family, Family.Description description) {
    this.description = description;
    this.layout =
        family.released(description.encoding(Role.EXPERT_DOWN)).in(description.architecture());
    Tensors.of(description.architecture())
        .forEach(tensor -> shapes.put(tensor.name(), tensor.shape()));
  }

  /**
   * The tensors of a release, layers for multi-token prediction included where config.json declares
   * any.
   *
   * @throws dev.moxie.format.error.InvalidInputException if no family has such a config
   */
  public static List<TensorDeclaration> of(Config config) {
    Family family = Families.of(config);
    var release = new ReleaseTensors(family, family.describe(config));
    List<TensorSpec> stacks = new ArrayList<>();
    for (TensorSpec spec : Tensors.of(release.description.architecture())) {
      if (spec.stack() != null) {
        stacks.add(spec);
      } else if (!spec.role().mayBeShared() || release.layout.has(spec.name())) {
        release.addExperts(stacks);
        stacks.clear();
        release.add(spec.whole());
      }
    }
    release.addExperts(stacks);
    return release.tensors;
  }

  /** Adds the stacks of a layer: a release has the experts one after the other. */
  private void addExperts(List<TensorSpec> stacks) {
    stacks.stream()
        .flatMap(stack -> stack.leaves().stream())
        .sorted(Comparator.comparing(leaf -> Objects.requireNonNull(leaf.expert())))
        .forEach(this::add);
  }

  private void add(TensorSpec.Leaf leaf) {
    Layout.Place place = layout.place(leaf);
    if (!names.add(place.tensor())) {
      return;
    }
    TensorSpec spec = leaf.tensor();
    Optional<String> scales =
        description.encoding(spec.role()) instanceof BlockScaled encoding
                && isEncoded(encoding, leaf)
                && description.encoded().has(Layout.module(place.tensor()))
            ? scales(encoding, encoding.valuesFor(place.tensor()))
            : Optional.empty();
    if (scales.isEmpty()) {
      Dtype dtype =
          switch (spec.role()) {
            case ROUTER_BIAS -> Dtype.F32;
            case ROUTER_TABLE -> Dtype.I64;
            default -> description.dtype();
          };
      Shape shape = place.arrangement().locate(place.tensor(), leaf, this::shape).shape();
      tensors.add(new TensorDeclaration(place.tensor(), dtype, shape));
      return;
    }
    var encoding = (BlockScaled) description.encoding(spec.role());
    TensorSpec.Leaf values = encoding.stored(spec).leaves().get(leaf.position());
    Shape shape =
        place
            .arrangement()
            .locate(place.tensor(), values, other -> encoding.stored(shape(other)))
            .shape();
    String name = encoding.valuesFor(place.tensor());
    tensors.add(
        new TensorDeclaration(name, encoding.dtype(), encoding.inCheckpoints(shape).getFirst()));
    TensorSpec.Leaf grid = encoding.scales(spec).leaves().get(leaf.position());
    tensors.add(
        new TensorDeclaration(
            scales.get(),
            encoding.usualScales(),
            place
                .arrangement()
                .locate(scales.get(), grid, other -> encoding.grid(shape(other)))
                .shape()));
    encoding
        .shapeInCheckpoints(name)
        .ifPresent(s -> tensors.add(new TensorDeclaration(s, Dtype.I32, Shape.of(2))));
  }

  /** The name of scales, which are beside their matrices where experts are of another encoding. */
  private Optional<String> scales(BlockScaled encoding, String values) {
    Optional<String> beside =
        description.encodings().ofRole().isEmpty()
            ? Optional.empty()
            : encoding.otherScalesInCheckpoints(values);
    return beside.or(() -> encoding.scalesInCheckpoints(values));
  }

  private static boolean isEncoded(BlockScaled encoding, TensorSpec.Leaf leaf) {
    return encoding.holds(leaf.shape()) && !NEVER_BLOCK_SCALED.contains(leaf.tensor().role());
  }

  private Shape shape(String canonical) {
    return Objects.requireNonNull(shapes.get(canonical), canonical);
  }
}
