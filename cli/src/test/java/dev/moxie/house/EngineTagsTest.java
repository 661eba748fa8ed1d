package dev.moxie.house;

import static com.tngtech.archunit.lang.conditions.ArchConditions.beAnnotatedWith;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.ArchConfiguration;
import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import java.io.IOException;
import java.lang.annotation.Annotation;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A class that waits for {@code mvn verify} carries the tag of each engine that runs tests of it:
 * neither JUnit nor jqwik looks at the other's, so that what has the wrong one alone runs in {@code
 * mvn test} and never again.
 */
class EngineTagsTest {
  private static final ArchRule JQWIK_SEES_THE_TAG =
      classes()
          .that()
          .areAnnotatedWith(Tag.class)
          .and(haveMethodsWith(Property.class))
          .should(beAnnotatedWith(net.jqwik.api.Tag.class));

  private static final ArchRule JUNIT_SEES_THE_TAG =
      classes()
          .that()
          .areAnnotatedWith(net.jqwik.api.Tag.class)
          .and(haveMethodsWith(Test.class, ParameterizedTest.class))
          .should(beAnnotatedWith(Tag.class));

  @Test
  void theEngineOfEveryTestSeesItsTag() throws IOException {
    List<Path> folders = compiledTests();
    JavaClasses tests =
        ArchConfiguration.withThreadLocalScope(
            configuration -> {
              // The names of annotations say it all.
              configuration.setResolveMissingDependenciesFromClassPath(false);
              return new ClassFileImporter().importPaths(folders);
            });
    JQWIK_SEES_THE_TAG.check(tests);
    JUNIT_SEES_THE_TAG.check(tests);
  }

  /** Those of the other modules; this one has no properties, but the wrong ones below. */
  private static List<Path> compiledTests() throws IOException {
    try (Stream<Path> modules = Files.list(Path.of(".."))) {
      return modules
          .filter(module -> !module.endsWith("cli"))
          .map(module -> module.resolve("target/test-classes"))
          .filter(Files::isDirectory)
          .toList();
    }
  }

  @Tag("exhaustive")
  private static final class PropertyWithTagOfJunit {
    @Property
    void planted() {}
  }

  @net.jqwik.api.Tag("exhaustive")
  private static final class TestWithTagOfJqwik {
    @ParameterizedTest
    @ValueSource(ints = 1)
    void planted(int number) {}
  }

  @Test
  void theOthersTagIsCaught() {
    assertTrue(violates(JQWIK_SEES_THE_TAG, PropertyWithTagOfJunit.class));
    assertTrue(violates(JUNIT_SEES_THE_TAG, TestWithTagOfJqwik.class));
  }

  private static boolean violates(ArchRule rule, Class<?> type) {
    return rule.evaluate(new ClassFileImporter().importClasses(type)).hasViolation();
  }

  @SafeVarargs
  private static DescribedPredicate<JavaClass> haveMethodsWith(
      Class<? extends Annotation>... annotations) {
    return DescribedPredicate.describe(
        "have tests of the engine",
        type ->
            type.getMethods().stream()
                .anyMatch(method -> Arrays.stream(annotations).anyMatch(method::isAnnotatedWith)));
  }
}
