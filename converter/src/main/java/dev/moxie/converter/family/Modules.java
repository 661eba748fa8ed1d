package dev.moxie.converter.family;

import dev.moxie.format.error.UnsupportedException;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

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

  /** Letters that a search for a pattern may look at; one that needs more goes round in circles. */
  private static final int MOST_LOOKS = 100_000;

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
    try {
      Pattern pattern = Pattern.compile(name.substring(PATTERN.length()));
      return pattern.matcher(new Watched(module, name, new int[1])).lookingAt();
    } catch (PatternSyntaxException e) {
      throw new IllegalArgumentException("\"" + name + "\", which is no pattern", e);
    }
  }

  /** A name that is not looked at without end. */
  @SuppressWarnings("ArrayRecordComponent") // Never compared.
  private record Watched(String name, String pattern, int[] looks) implements CharSequence {
    @Override
    public int length() {
      return name.length();
    }

    @Override
    public char charAt(int index) {
      if (looks[0]++ > MOST_LOOKS) {
        throw new UnsupportedException(
            "config.json, quantization_config",
            "patterns that are soon decided",
            "\"" + pattern + "\", which is not on " + name,
            "write it without repetitions inside repetitions");
      }
      return name.charAt(index);
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return name.substring(start, end);
    }

    @Override
    public String toString() {
      return name;
    }
  }
}
