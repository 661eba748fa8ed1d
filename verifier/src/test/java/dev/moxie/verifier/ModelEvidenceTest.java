package dev.moxie.verifier;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.moxie.converter.inspect.Inspection;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.model.Architecture;
import dev.moxie.format.model.Attention;
import dev.moxie.format.model.FeedForward;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.verifier.oracle.Recorded;
import java.io.IOException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Every value that an architecture may have, be it a part, a constant, a yes or no, or nothing at
 * all, is one that another implementation has computed with. A value is written as it is found:
 * {@code Routing.bias = null}, {@code Routing.bias = SELECTION}.
 */
class ModelEvidenceTest {
  /**
   * Computed by the NumPy form of the published equations alone ({@code conformance/forward.py}).
   */
  private static final Set<String> NUMPY_ALONE = Set.of("Routing.bias = SELECTION_AND_WEIGHTS");

  /** What traces say of who recorded them that is not the code under test. */
  private static final List<String> OTHERS =
      List.of("transformers ", "NumPy ", "the published equations ");

  /** What a decoder layer has in traces, and no layer for multi-token prediction. */
  private static final Set<String> UNREACHED =
      Set.of(
          "Prediction.attention = Compressed",
          "Prediction.attention = GatedDelta",
          "Prediction.attention = Lightning",
          "Prediction.attention = Mamba",
          "Prediction.attention = Mamba2",
          "Prediction.attention = None",
          "Prediction.attention = ShortConvolution",
          "Prediction.feedForward = Dense",
          "Prediction.feedForward = None");

  @Test
  void everyValueIsOneThatAnotherImplementationHasComputedWith() throws IOException {
    Set<String> without = new TreeSet<>(values());
    without.removeAll(ofFixtures());
    Set<String> expected = new TreeSet<>(NUMPY_ALONE);
    expected.addAll(UNREACHED);
    assertEquals(expected, without);
  }

  @Test
  void whatNoImplementationHasComputedWithTheNumpyFormHas() throws IOException {
    Set<String> found = new TreeSet<>();
    try (Stream<Path> packages =
        Files.list(Fixtures.root().resolve("../format-spec/conformance/numbers"))) {
      for (Path numbers : packages.toList()) {
        try (MoxiePackage pack = MoxiePackage.open(numbers.resolve("package"))) {
          note("", pack.architecture(), Integer.MAX_VALUE, found);
        }
      }
    }
    assertTrue(found.containsAll(NUMPY_ALONE), found::toString);
  }

  /** What the architectures of checkpoints have that lie beside a trace of another. */
  private static Set<String> ofFixtures() throws IOException {
    Set<String> found = new TreeSet<>();
    try (Stream<Path> files = Files.walk(Fixtures.root(), 3)) {
      for (Path config : files.filter(file -> file.endsWith("config.json")).sorted().toList()) {
        Path checkpoint = config.getParent();
        Path file = Fixtures.traces(checkpoint).getFirst();
        if (Files.exists(file)) {
          note(Inspection.of(config, Set.of()).architecture(), file, found);
        }
      }
    }
    return found;
  }

  private static void note(Architecture declared, Path file, Set<String> found) {
    try (Trace trace = Trace.open(file)) {
      String producer = trace.metadata().getOrDefault("producer", "");
      if (OTHERS.stream().anyMatch(producer::startsWith)) {
        int predictions = new Recorded(trace, declared).predictions();
        note("", declared.withPrediction(predictions), trace.inputIds().length, found);
      }
    }
  }

  /** Every value of an architecture that is one of few, and of which so many tokens show it. */
  private static void note(String member, @Nullable Object value, int tokens, Set<String> found) {
    switch (value) {
      case null -> found.add(member + " = null");
      case Boolean yes -> found.add(member + " = " + yes);
      case Enum<?> constant -> found.add(member + " = " + constant.name());
      case Collection<?> many -> many.forEach(one -> note(member, one, tokens, found));
      case Attention.Temperature temperature when temperature.floor() >= tokens -> {}
      case Integer first when REACHES.contains(member) && first >= tokens -> {}
      case Record part -> {
        found.add(member + " = " + part.getClass().getSimpleName());
        if (part instanceof FeedForward.MixtureOfExperts m && m.beside() != null) {
          // What stands beside experts is computed as a dense network with their activation.
          note("Dense.activation", m.activation(), tokens, found);
        }
        for (RecordComponent component : part.getClass().getRecordComponents()) {
          try {
            note(name(component), component.getAccessor().invoke(part), tokens, found);
          } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
          }
        }
      }
      default -> found.add(member + " = some");
    }
  }

  /** How far a token sees: what none comes to the end of is not shown. */
  private static final Set<String> REACHES = Set.of("GroupedQuery.window", "GroupedQuery.chunk");

  /** Every such value that there is. */
  private static Set<String> values() {
    Set<String> values = new TreeSet<>();
    for (RecordComponent component : Architecture.class.getRecordComponents()) {
      values(component, values);
    }
    return values;
  }

  private static void values(RecordComponent component, Set<String> values) {
    String member = name(component);
    Class<?> type = component.getType();
    boolean optional = component.getAnnotatedType().isAnnotationPresent(Nullable.class);
    if (optional) {
      values.add(member + " = null");
    }
    if (type == boolean.class) {
      values.addAll(List.of(member + " = true", member + " = false"));
    } else if (type.isEnum() && type.getName().startsWith(MODEL)) {
      for (Object constant : type.getEnumConstants()) {
        values.add(member + " = " + ((Enum<?>) constant).name());
      }
    } else if (type == List.class) {
      var list = (ParameterizedType) component.getGenericType();
      if (list.getActualTypeArguments()[0] instanceof Class<?> of
          && of.getName().startsWith(MODEL)) {
        parts(member, of, values);
      }
    } else if (type.getName().startsWith(MODEL)) {
      parts(member, type, values);
    } else if (optional) {
      values.add(member + " = some");
    }
  }

  private static void parts(String member, Class<?> type, Set<String> values) {
    if (type.isSealed()) {
      for (Class<?> part : type.getPermittedSubclasses()) {
        parts(member, part, values);
      }
    } else if (values.add(member + " = " + type.getSimpleName())) {
      for (RecordComponent component : type.getRecordComponents()) {
        values(component, values);
      }
    }
  }

  private static final String MODEL = Architecture.class.getPackageName();

  private static String name(RecordComponent component) {
    return component.getDeclaringRecord().getSimpleName() + "." + component.getName();
  }
}
