package dev.moxie.converter.family;

import dev.moxie.format.encoding.BlockScaled;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Limits;
import dev.moxie.format.model.TensorSpec;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * One way in which checkpoints of a family hold its weights.
 *
 * @param places by canonical name, {@code {layer}} and {@code {expert}} standing for numbers: that
 *     of a tensor or of a slice ({@code layers.{layer}.experts.{expert}.gate.weight}); or, where a
 *     checkpoint's tensor holds many slices, of all experts' ({@code
 *     layers.{layer}.experts.gate.weight}) or of the whole stack; of an encoder beside a decoder,
 *     after {@code encoder.}, and of layers for multi-token prediction that are not numbered after
 *     the decoder's, after {@code prediction.}, each counting its layers from 0
 * @param encoderLayers of the model; 0 without an encoder
 * @param layers of encoder and decoder together
 * @param numbering of the files that hold the model
 */
public record Layout(
    String name, Map<String, Place> places, int encoderLayers, int layers, Numbering numbering) {
  private static final String LAYER = "{layer}";
  private static final String EXPERT = "{expert}";
  private static final String IN_LAYER = "layers.{layer}.";
  private static final String ENCODER = "encoder.";
  private static final String PREDICTION = "prediction.";
  private static final String EXPERTS = "experts.";

  /** A tensor whose name tells how layers are called. */
  private static final String OUTPUT = "attention.output.weight";

  /** How some families number experts. */
  private static final String NUMBERED = "expert_";

  private static final int MOST_DIGITS = 8;

  /**
   * A tensor of the checkpoint.
   *
   * @param tensor its name, with the same placeholders; of encoded elements that of the numbers
   */
  public record Place(String tensor, Arrangement arrangement) {}

  public Layout {
    places = Map.copyOf(places);
  }

  /** That of a model of any number of layers, without an encoder. */
  Layout(String name, Map<String, Place> places) {
    this(name, places, 0, Limits.MAX_LAYERS, Numbering.NONE);
  }

  /** The same places in a model. */
  public Layout in(Architecture model) {
    return new Layout(name, places, model.encoderLayers(), model.layers().size(), numbering);
  }

  /** The same places in files that are numbered, in a model of these tensors. */
  public Layout numbered(List<TensorSpec> tensors) {
    var numbers =
        Numbering.of(
            tensors.stream()
                .flatMap(spec -> spec.leaves().stream())
                .map(leaf -> place(leaf).tensor()));
    return new Layout(name, places, encoderLayers, layers, numbers);
  }

  /**
   * What calls for a tensor, in words: config.json, or the path that has the number of its file.
   */
  public String calling(String tensor) {
    return numbering.path(tensor).orElse("config.json");
  }

  /** How many files are numbered. */
  public int numberedFiles() {
    return numbering.files().size();
  }

  /** A layout with a tensor for each leaf. */
  static Layout of(String name, Map<String, String> tensors) {
    return new Layout(
        name,
        tensors.entrySet().stream()
            .collect(
                Collectors.toMap(
                    Map.Entry::getKey, entry -> new Place(entry.getValue(), Arrangement.ITSELF))));
  }

  /** With a tensor for each leaf of more. */
  Layout and(Map<String, String> tensors) {
    Map<String, Place> all = new HashMap<>(places);
    all.putAll(of(name, tensors).places);
    return new Layout(name, all);
  }

  /** The same places under another name. */
  Layout as(String other) {
    return new Layout(other, places);
  }

  /** The same places whose names begin otherwise, under another name. */
  Layout under(String prefix, String other, String otherName) {
    Map<String, Place> moved = new HashMap<>(places);
    moved.replaceAll(
        (canonical, place) ->
            place.tensor().startsWith(prefix)
                ? new Place(other + place.tensor().substring(prefix.length()), place.arrangement())
                : place);
    return new Layout(otherName, moved);
  }

  /**
   * With one place more. That of all experts takes the places of those that each had.
   *
   * @param canonical within its layer
   */
  Layout and(String canonical, String tensor, Arrangement arrangement) {
    Map<String, Place> all = new HashMap<>(places);
    if (canonical.startsWith(EXPERTS)) {
      int dot = canonical.lastIndexOf('.');
      for (String projection : canonical.substring(EXPERTS.length(), dot).split("_", -1)) {
        all.remove(IN_LAYER + EXPERTS + EXPERT + "." + projection + canonical.substring(dot));
      }
    }
    all.put(IN_LAYER + canonical, new Place(tensor, arrangement));
    return new Layout(name, all);
  }

  /**
   * With matrices in one tensor, one below the other.
   *
   * @param canonical within their layer, in this order
   */
  Layout joined(String tensor, List<String> canonical) {
    Layout all = this;
    for (String one : canonical) {
      all = all.and(one, tensor, Arrangement.joined(canonical));
    }
    return all;
  }

  /**
   * With layers for multi-token prediction whose names begin otherwise than the decoder's.
   *
   * @param like how what they have of a decoder layer lies in it
   * @param prefix of their names up to the number, {@code {layer}}, which counts from 0
   * @param own what they have beside that; without a placeholder it is of the first of them
   */
  Layout predicting(Layout like, String prefix, Map<String, String> own) {
    String decoder = like.prefix("");
    Map<String, Place> all = new HashMap<>(places);
    like.places.forEach(
        (canonical, place) -> {
          String tensor = place.tensor();
          if (tensor.startsWith(decoder)) {
            all.put(
                PREDICTION + canonical,
                new Place(prefix + tensor.substring(decoder.length()), place.arrangement()));
          }
        });
    of(name, own).places.forEach((canonical, place) -> all.put(PREDICTION + canonical, place));
    return new Layout(name, all);
  }

  /**
   * The same with the names that experts have in transformers 5, which fuses those of every family;
   * empty where they are no matrices of their own here.
   */
  public Optional<Layout> fused() {
    Place gate = places.get(IN_LAYER + EXPERTS + EXPERT + ".gate.weight");
    int end = gate == null ? -1 : gate.tensor().indexOf(EXPERTS + EXPERT + ".");
    if (gate == null || end < 0) {
      return Optional.empty();
    }
    String experts = gate.tensor().substring(0, end) + EXPERTS;
    return Optional.of(
        and(EXPERTS + "gate_up.weight", experts + "gate_up_proj", Arrangement.HALVES)
            .and(EXPERTS + "down.weight", experts + "down_proj", Arrangement.STACKED));
  }

  /** Where a leaf lies, its numbers inserted. */
  public Place place(TensorSpec.Leaf leaf) {
    Place place = find(leaf.source());
    if (place == null && leaf.projection() != null) {
      String stem = leaf.tensor().name();
      String ending = stem.substring(stem.lastIndexOf('.'));
      place =
          find("layers." + leaf.tensor().layer() + ".experts." + leaf.projection().id() + ending);
    }
    if (place == null) {
      place = find(leaf.tensor().name());
    }
    if (place == null) {
      throw new IllegalStateException("layout " + name + " has no place for " + leaf.source());
    }
    return place;
  }

  /** Whether checkpoints have a canonical tensor that is no stack, where the model has it. */
  public boolean has(String canonical) {
    return find(canonical) != null;
  }

  /** The checkpoint's name for a canonical tensor that is no stack. */
  public String nameOf(String canonical) {
    return placeOf(canonical).tensor();
  }

  /** Where a canonical tensor that is no stack lies. */
  public Place placeOf(String canonical) {
    return Objects.requireNonNull(find(canonical), canonical);
  }

  private @Nullable Place find(String canonical) {
    String[] segments = canonical.split("\\.", -1);
    @Nullable String layer = number(segments, 1, LAYER);
    @Nullable String expert = number(segments, 3, EXPERT);
    int number = layer == null ? -1 : Integer.parseInt(layer);
    String stack = layer == null ? "" : stack(number);
    Place place = places.get(stack + String.join(".", segments));
    if (place == null) {
      return null;
    }
    if (layer == null) {
      return new Place(numbering.inFile(place.tensor()), place.arrangement());
    }
    int own = number - first(stack);
    String tensor = place.tensor().replace(LAYER, Integer.toString(own));
    return new Place(
        numbering.inFile(expert == null ? tensor : tensor.replace(EXPERT, expert)),
        place.arrangement());
  }

  /** What the places of a layer begin with. */
  private String stack(int layer) {
    if (layer < encoderLayers) {
      return ENCODER;
    }
    return layer >= layers && predictsApart() ? PREDICTION : "";
  }

  /** The first layer of those. */
  private int first(String stack) {
    return switch (stack) {
      case ENCODER -> 0;
      case PREDICTION -> layers;
      default -> encoderLayers;
    };
  }

  /** Whether layers for multi-token prediction have places of their own. */
  private boolean predictsApart() {
    return places.containsKey(PREDICTION + IN_LAYER + OUTPUT);
  }

  /** Puts a placeholder into the place of a number, and returns the number, if it is there. */
  private static @Nullable String number(String[] segments, int at, String placeholder) {
    String before = placeholder.substring(1, placeholder.length() - 1) + "s";
    if (segments.length <= at || !segments[at - 1].equals(before) || !isNumber(segments[at])) {
      return null;
    }
    String number = segments[at];
    segments[at] = placeholder;
    return number;
  }

  /** The layer that a tensor of a checkpoint belongs to, if it is named like one of a layer. */
  public OptionalInt layerOf(String source) {
    OptionalInt ofDecoder = layerOf(source, "");
    if (ofDecoder.isPresent()) {
      return ofDecoder;
    }
    if (predictsApart()) {
      return predictionLayerOf(source);
    }
    return encoderLayers == 0 ? OptionalInt.empty() : layerOf(source, ENCODER);
  }

  /**
   * The layer for multi-token prediction that a tensor belongs to, if it is named like one of such;
   * or like one of a decoder layer that the model has not, where both are numbered together.
   */
  public OptionalInt predictionLayerOf(String source) {
    if (predictsApart()) {
      return isOfAllPrediction(source) ? OptionalInt.of(layers) : layerOf(source, PREDICTION);
    }
    OptionalInt layer = layerOf(source);
    return layer.orElse(-1) < layers ? OptionalInt.empty() : layer;
  }

  private OptionalInt layerOf(String source, String stack) {
    String prefix = prefix(stack);
    prefix = prefix.substring(0, prefix.indexOf(LAYER));
    int end = source.indexOf('.', prefix.length());
    if (!source.startsWith(prefix) || end < 0) {
      return OptionalInt.empty();
    }
    String layer = source.substring(prefix.length(), end);
    return isNumber(layer)
        ? OptionalInt.of(first(stack) + Integer.parseInt(layer))
        : OptionalInt.empty();
  }

  /** What the names of a layer's tensors begin with. */
  private String prefix(String stack) {
    String template = Objects.requireNonNull(places.get(stack + IN_LAYER + OUTPUT)).tensor();
    return template.substring(0, template.indexOf(LAYER) + LAYER.length());
  }

  /** Whether all layers for multi-token prediction have a tensor in common. */
  public boolean isOfAllPrediction(String source) {
    return isOfPrediction(source) && !pattern(source).contains(LAYER);
  }

  /** Whether it has tensors of such a name, whatever the numbers in it. */
  public boolean hasName(String source) {
    String pattern = pattern(source);
    Optional<String> beside = BlockScaled.matrixBeside(source).map(Layout::pattern);
    return places.values().stream()
        .map(place -> pattern(place.tensor()))
        .anyMatch(name -> name.equals(pattern) || name.equals(beside.orElse(pattern)));
  }

  /** Whether only layers for multi-token prediction have tensors of such a name. */
  public boolean isOfPrediction(String source) {
    String pattern = pattern(source);
    return places.entrySet().stream()
        .anyMatch(
            place ->
                place.getKey().contains(PREDICTION) && place.getValue().tensor().equals(pattern));
  }

  /** How many of its names occur among patterns. */
  long matches(Set<String> patterns) {
    return places.values().stream().map(Place::tensor).filter(patterns::contains).count();
  }

  /** A name with placeholders for its numbers; that of the values, for scales. */
  public static String pattern(String source) {
    String[] segments = BlockScaled.valuesInCheckpoints(source).split("\\.", -1);
    boolean inLayer = false;
    for (int i = 0; i < segments.length; i++) {
      inLayer |= segments[i].equals(LAYER);
      if (segments[i].startsWith(NUMBERED) && isNumber(segments[i].substring(NUMBERED.length()))) {
        segments[i] = NUMBERED + EXPERT;
      } else if (isNumber(segments[i])) {
        segments[i] = inLayer ? EXPERT : LAYER;
        inLayer = true;
      }
    }
    return String.join(".", segments);
  }

  /** The module that a tensor is the weight of; a tensor of another name is its own. */
  public static String module(String tensor) {
    return tensor.endsWith(".weight")
        ? tensor.substring(0, tensor.length() - ".weight".length())
        : tensor;
  }

  private static boolean isNumber(String segment) {
    return !segment.isEmpty()
        && segment.length() <= MOST_DIGITS
        && segment.chars().allMatch(c -> c >= '0' && c <= '9');
  }
}
