package dev.moxie.converter.family;

import dev.moxie.converter.checkpoint.NamePattern;
import java.util.List;

/**
 * Modules as compressed-tensors names them: a name, or after {@code re:} a pattern that a name
 * begins with.
 *
 * @param targets those that are quantised; {@code Linear} names all that are matrices
 * @param ignored those among them that are not
 */
public record Modules(List<String> targets, List<String> ignored) {
  /** All of them. */
  static final Modules ALL = new Modules(List.of(Modules.MATRICES), List.of());

  private static final String MATRICES = "Linear";
  private static final String PATTERN = "re:";

  /**
   * Checks what is written.
   *
   * @throws IllegalArgumentException if a name is one of a class that is not known, or a pattern is
   *     none
   */
  public Modules {
    targets = List.copyOf(targets);
    ignored = List.copyOf(ignored);
    for (String target : targets) {
      if (!target.equals(MATRICES) && !target.startsWith(PATTERN) && !target.contains(".")) {
        throw new IllegalArgumentException("the class " + target);
      }
    }
    targets.forEach(name -> matches("", name));
    ignored.forEach(name -> matches("", name));
  }

  /** Whether a module's matrix may be quantised. */
  public boolean has(String module) {
    return targets.stream().anyMatch(name -> name.equals(MATRICES) || matches(module, name))
        && ignored.stream().noneMatch(name -> matches(module, name));
  }

  private static boolean matches(String module, String name) {
    if (!name.startsWith(PATTERN)) {
      return name.equals(module);
    }
    return new NamePattern("config.json, quantization_config", name.substring(PATTERN.length()))
        .begins(module);
  }
}
