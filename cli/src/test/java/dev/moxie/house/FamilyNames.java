package dev.moxie.house;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import dev.moxie.converter.family.Families;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.constantpool.ClassEntry;
import java.lang.classfile.constantpool.PoolEntry;
import java.lang.classfile.constantpool.StringEntry;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * A class names a family where its constant pool has a string that is one word, with a family's
 * name in it, or a class that is called after one. Prose and file names are no such words.
 */
final class FamilyNames extends ArchCondition<JavaClass> {
  private static final Pattern WORD = Pattern.compile("[\\w-]+");

  /** What other words have in them as well. */
  private static final Set<String> COMMON = Set.of("hy", "switch", "v", "z");

  /**
   * What a {@code model_type} begins with: of {@code deepseek_v3} the {@code deepseek}, of {@code
   * z_code_m3} the {@code zcode}.
   */
  private static final Set<String> NAMES =
      Families.ALL.stream()
          .flatMap(family -> family.modelTypes().stream())
          .map(type -> type.split("_"))
          .map(words -> COMMON.contains(words[0]) ? words[0] + words[1] : words[0])
          .collect(Collectors.toUnmodifiableSet());

  FamilyNames() {
    super("name a family");
  }

  @Override
  public void check(JavaClass type, ConditionEvents events) {
    for (PoolEntry entry : ClassFile.of().parse(bytes(type)).constantPool()) {
      name(entry)
          .ifPresent(
              name ->
                  events.add(
                      SimpleConditionEvent.satisfied(type, type.getName() + " names " + name)));
    }
  }

  private static Optional<String> name(PoolEntry entry) {
    String word =
        switch (entry) {
          case StringEntry text -> text.stringValue();
          case ClassEntry other when !other.asInternalName().startsWith("dev/moxie/fixtures/") ->
              other.asInternalName().replaceFirst(".*/", "").replace('$', '-');
          default -> "";
        };
    String lower = word.toLowerCase(Locale.ROOT).replace("_", "");
    return WORD.matcher(word).matches() && NAMES.stream().anyMatch(lower::contains)
        ? Optional.of(word)
        : Optional.empty();
  }

  private static byte[] bytes(JavaClass type) {
    try (InputStream in = type.getSource().orElseThrow().getUri().toURL().openStream()) {
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
