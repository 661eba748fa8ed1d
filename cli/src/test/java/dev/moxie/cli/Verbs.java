package dev.moxie.cli;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;

/** Every verb that there is, so that a new one cannot be forgotten. */
final class Verbs {
  private Verbs() {}

  /** A verb, or a verb's verb, as it is typed. */
  record Verb(String words, CommandLine line) {
    boolean has(String option) {
      return line.getCommandSpec().findOption(option) != null;
    }

    /** Whether there is something that it does not go without. */
    boolean wantsMore() {
      return line.getCommandSpec().positionalParameters().stream()
          .anyMatch(parameter -> parameter.arity().min() > 0);
    }
  }

  static List<Verb> all() {
    List<Verb> verbs = new ArrayList<>();
    collect("", new CommandLine(new Main()), verbs);
    return verbs;
  }

  private static void collect(String words, CommandLine line, List<Verb> verbs) {
    if (line.getSubcommands().isEmpty()) {
      verbs.add(new Verb(words.strip(), line));
    }
    line.getSubcommands().forEach((name, inner) -> collect(words + " " + name, inner, verbs));
  }
}
