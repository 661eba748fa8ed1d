package dev.moxie.converter.adapter;

import dev.moxie.converter.checkpoint.SourceTensor;
import dev.moxie.converter.family.Arrangement;
import dev.moxie.converter.family.Layout;
import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.InvalidInputException;
import dev.moxie.format.error.UnsupportedException;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Role;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.Shape;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Finds the two factors of each matrix that an adapter changes. Every tensor of the adapter is
 * used, and everything that adapter_config.json names has its factors: an adapter that lost some is
 * not merged in part.
 */
final class Pairing {
  private static final String PREFIX = "base_model.model.";
  private static final String AROUND = ".base_layer";
  private static final String WEIGHT = ".weight";

  /** A module, how often it is wrapped, and which factor. */
  private static final Pattern FACTOR =
      Pattern.compile("(.+?)((?:\\.base_layer)*)\\.lora_(A|B|embedding_A|embedding_B)(\\.weight)?");

  private static final Set<Dtype> FLOATS = EnumSet.of(Dtype.F32, Dtype.F16, Dtype.BF16);

  private final LoraAdapter adapter;
  private final LinearMaps maps;
  private final Architecture architecture;
  private final Map<String, LowRank> updates = new TreeMap<>();
  private final Set<String> named = new HashSet<>();

  Pairing(LoraAdapter adapter, LinearMaps maps, Architecture architecture) {
    this.adapter = adapter;
    this.maps = maps;
    this.architecture = architecture;
  }

  /** Factors of one map: what they are of, and both, or one of them as long as one was found. */
  private record Pair(
      String module,
      int depth,
      boolean embedding,
      @Nullable SourceTensor a,
      @Nullable SourceTensor b) {
    SourceTensor any() {
      return a == null ? Objects.requireNonNull(b) : a;
    }

    Pair and(Pair other) {
      return new Pair(module, depth, embedding, a == null ? other.a : a, b == null ? other.b : b);
    }
  }

  /** A map whose factors these are. */
  private record Match(Pair pair, String tensor, String name, List<LinearMaps.Part> parts) {
    SourceTensor a() {
      return Objects.requireNonNull(pair.a());
    }

    SourceTensor b() {
      return Objects.requireNonNull(pair.b());
    }

    Arrangement.Outputs outputs() {
      return parts.getFirst().outputs();
    }
  }

  Map<String, LowRank> updates() {
    List<Match> matches = new ArrayList<>();
    Map<String, List<Pair>> byModule = new LinkedHashMap<>();
    pairs()
        .forEach(pair -> byModule.computeIfAbsent(pair.module(), m -> new ArrayList<>()).add(pair));
    byModule.forEach((module, pairs) -> match(module, pairs, matches));
    if (matches.isEmpty()) {
      throw new CorruptException(
          where(), "factors of low rank", "none at all", "pass the adapter as peft saved it");
    }
    Set<Boolean> swapped = new HashSet<>();
    matches.forEach(match -> orientation(match).ifPresent(swapped::add));
    for (Match match : matches) {
      add(match, swapped);
    }
    requireAllTargets();
    return updates;
  }

  private List<Pair> pairs() {
    Map<String, Pair> pairs = new TreeMap<>();
    for (SourceTensor tensor : adapter.tensors().values()) {
      Matcher name = FACTOR.matcher(tensor.name());
      if (!name.matches() || !tensor.name().startsWith(PREFIX)) {
        throw unknown(tensor);
      }
      boolean embedding = name.group(3).startsWith("embedding");
      if (embedding == (name.group(4) != null)) {
        throw unknown(tensor);
      }
      if (!FLOATS.contains(tensor.dtype())) {
        throw corrupt(tensor, "one of " + FLOATS, tensor.dtype().toString());
      }
      boolean first = name.group(3).endsWith("A");
      int depth = name.group(2).length() / AROUND.length();
      var pair =
          new Pair(
              name.group(1).substring(PREFIX.length()),
              depth,
              embedding,
              first ? tensor : null,
              first ? null : tensor);
      pairs.merge(name.group(1) + name.group(2) + " " + embedding, pair, Pair::and);
    }
    for (Pair pair : pairs.values()) {
      if (pair.a() == null || pair.b() == null) {
        throw corrupt(pair.any(), "another factor, lora_" + (pair.a() == null ? "A" : "B"), "none");
      }
    }
    return List.copyOf(pairs.values());
  }

  private UnsupportedException unknown(SourceTensor tensor) {
    String found =
        tensor.name().contains("magnitude_vector")
            ? "a magnitude of DoRA"
            : tensor.name().contains("lora_")
                ? "none of that form"
                : "a tensor that takes the place of the model's, or a new one";
    return new UnsupportedException(
        where(tensor),
        "factors named " + PREFIX + "MODULE.lora_A.weight and lora_B.weight",
        found,
        "this build does not merge such an adapter; merge it with peft (merge_and_unload, then"
            + " save_pretrained) and convert the result");
  }

  /** Finds the map, or the parameters of experts, that a module's factors are of. */
  private void match(String module, List<Pair> pairs, List<Match> matches) {
    String weight = module + WEIGHT;
    if (!maps.under(weight).isEmpty()) {
      for (Pair pair : pairs) {
        if (pair.depth() > 0 || pairs.size() > 1) {
          throw corrupt(pair.any(), "one pair of factors for " + weight, "several");
        }
        requireTargeted(
            pair,
            adapter.config().targets().modules().test(module)
                || adapter.config().targets().hasParameter(weight),
            module);
        boolean parameter =
            adapter.config().targets().hasParameter(weight)
                && !adapter.config().targets().modules().test(module);
        matches.add(new Match(pair, weight, parameter ? weight : module, maps.under(weight)));
      }
      return;
    }
    List<String> parameters =
        maps.parametersOf(module).stream()
            .filter(adapter.config().targets()::hasParameter)
            .toList();
    if (parameters.isEmpty()) {
      if (architecture.tiedEmbeddings() && maps.isHead(weight)) {
        throw tied(pairs.getFirst());
      }
      throw corrupt(
          pairs.getFirst().any(),
          "the name of a matrix of the model, or of experts with target_parameters that "
              + adapter.config().where()
              + " names",
          module);
    }
    List<Pair> outerFirst = pairs.stream().sorted(Comparator.comparingInt(Pair::depth)).toList();
    for (int i = 0; i < outerFirst.size(); i++) {
      Pair pair = outerFirst.get(i);
      if (pair.depth() != i || outerFirst.size() != parameters.size() || pair.embedding()) {
        throw corrupt(
            pair.any(),
            "a pair of factors for each of " + parameters + ", each wrapped once more",
            outerFirst.size() + " pairs");
      }
      // The parameter that stands first in the class is wrapped first, and so is the innermost.
      String parameter = parameters.get(parameters.size() - 1 - i);
      matches.add(new Match(pair, parameter, parameter, maps.under(parameter)));
    }
  }

  private UnsupportedException tied(Pair pair) {
    return new UnsupportedException(
        where(pair.any()),
        "factors of neither embedding nor head, since here one is the other, and what is added to"
            + " one would be added to both",
        pair.module(),
        "untie them first: save the model with a head of its own");
  }

  private void requireTargeted(Pair pair, boolean targeted, String module) {
    if (!targeted) {
      throw corrupt(pair.any(), "a module that " + adapter.config().where() + " targets", module);
    }
  }

  /** Whether A's columns are a map's outputs, as peft before 0.19 has them; empty if both fit. */
  private Optional<Boolean> orientation(Match match) {
    long inputs = match.parts().getFirst().columns();
    long outputs = match.outputs().count();
    return match.outputs().experts() == 1 || inputs == outputs
        ? Optional.empty()
        : Optional.of(match.a().shape().equals(shapeOfA(match, outputs)));
  }

  private Shape shapeOfA(Match match, long columns) {
    return Shape.of(rank(match) * (long) match.outputs().experts(), columns);
  }

  private int rank(Match match) {
    return adapter.config().rank(match.name());
  }

  private void add(Match match, Set<Boolean> swapped) {
    LinearMaps.Part first = match.parts().getFirst();
    Role role = first.leaf().tensor().role();
    if (role == Role.EMBEDDING && architecture.tiedEmbeddings()) {
      throw tied(match.pair());
    }
    if (match.pair().embedding() != (role == Role.EMBEDDING)) {
      throw corrupt(
          match.pair().any(),
          role == Role.EMBEDDING ? "lora_embedding_A and _B" : "lora_A and lora_B",
          "factors of the other kind");
    }
    long rank = rank(match) * (long) match.outputs().experts();
    boolean turned = isSwapped(match, swapped);
    long inputs = turned ? match.outputs().count() : first.columns();
    long outputs = turned ? first.columns() : match.outputs().count();
    if (match.pair().embedding()) {
      requireShape(match.a(), Shape.of(rank, outputs));
      requireShape(match.b(), Shape.of(inputs, rank));
    } else {
      requireShape(match.a(), Shape.of(rank, inputs));
      requireShape(match.b(), Shape.of(outputs, rank));
    }
    for (LinearMaps.Part part : match.parts()) {
      LowRank update =
          match.pair().embedding()
              ? ofEmbedding(match)
              : turned ? turned(match, part) : of(match, part);
      if (updates.put(part.leaf().source(), update) != null) {
        throw corrupt(match.a(), "one pair of factors for " + part.leaf().source(), "another");
      }
    }
    named.add(match.tensor());
  }

  /** Experts' factors of a square map do not show which is which; others of the adapter do. */
  private boolean isSwapped(Match match, Set<Boolean> swapped) {
    if (match.outputs().experts() == 1) {
      return false;
    }
    Optional<Boolean> own = orientation(match);
    if (own.isPresent()) {
      return own.get();
    }
    if (swapped.size() == 1) {
      return swapped.iterator().next();
    }
    Boolean later = adapter.config().isFrom019();
    if (later == null || match.outputs().transposed()) {
      throw new UnsupportedException(
          where(match.a()),
          "factors that show which of them reads a matrix's inputs",
          "those of square matrices, which do not, without a peft_version that would",
          "merge the adapter with the peft that wrote it (merge_and_unload, then save_pretrained)"
              + " and convert the result");
    }
    return !later;
  }

  private LowRank of(Match match, LinearMaps.Part part) {
    Arrangement.Outputs o = part.outputs();
    long all = (long) rank(match) * o.experts();
    long inputs = part.columns();
    return update(
        match,
        new LowRank.Factor(match.b(), o.first() * all + o.expert(), o.step() * all, o.experts()),
        new LowRank.Factor(match.a(), (long) o.expert() * rank(match) * inputs, inputs, 1));
  }

  private LowRank turned(Match match, LinearMaps.Part part) {
    Arrangement.Outputs o = part.outputs();
    long all = (long) rank(match) * o.experts();
    long start = (long) o.expert() * rank(match) * o.count();
    return update(
        match,
        new LowRank.Factor(match.a(), start + o.first(), o.step(), o.count()),
        new LowRank.Factor(match.b(), o.expert(), o.experts(), all));
  }

  private LowRank ofEmbedding(Match match) {
    return update(
        match,
        new LowRank.Factor(match.a(), 0, 1, match.outputs().count()),
        new LowRank.Factor(match.b(), 0, 1, rank(match)));
  }

  private LowRank update(Match match, LowRank.Factor left, LowRank.Factor right) {
    return new LowRank(
        adapter.folder(), left, right, rank(match), adapter.config().scale(match.name()));
  }

  private void requireShape(SourceTensor tensor, Shape expected) {
    if (!tensor.shape().equals(expected)) {
      throw corrupt(
          tensor,
          "shape %s, as rank and matrix call for".formatted(expected),
          tensor.shape().toString());
    }
  }

  /** What is targeted and has no factors got lost. */
  private void requireAllTargets() {
    Targets targets = adapter.config().targets();
    boolean oneByOne =
        named.stream()
            .flatMap(name -> maps.under(name).stream())
            .anyMatch(part -> part.leaf().expert() != null && part.outputs().experts() == 1);
    for (String name : maps.names()) {
      LinearMaps.Part part = maps.under(name).getFirst();
      boolean expert = part.leaf().expert() != null;
      boolean fused = part.outputs().experts() > 1;
      boolean module =
          targets.modules().test(Layout.module(name))
              && !fused
              && (!expert || oneByOne)
              && !(targets.all() && isLeftByAll(part));
      boolean there = updates.containsKey(part.leaf().source());
      if (!there && (module || (fused && targets.hasParameter(name)))) {
        throw new CorruptException(
            where(),
            "factors of " + Layout.module(name) + ", which adapter_config.json targets",
            "none",
            "the adapter is incomplete, or of another model; pass it as peft saved it");
      }
    }
  }

  private static boolean isLeftByAll(LinearMaps.Part part) {
    Role role = part.leaf().tensor().role();
    return role == Role.HEAD || role == Role.EMBEDDING || role == Role.ROUTER;
  }

  private String where() {
    return adapter.folder().resolve("adapter_model.safetensors").toString();
  }

  private String where(SourceTensor tensor) {
    return where() + ", tensor " + tensor.name();
  }

  private InvalidInputException corrupt(SourceTensor tensor, String expected, String found) {
    return new CorruptException(
        where(tensor),
        expected,
        found,
        "adapter and model do not belong together, or the adapter is damaged; pass those of one"
            + " training");
  }
}
