package dev.moxie.cli;

import java.util.ArrayList;
import java.util.List;

/** Processes with the classes of the tests, for what could hang one, or end it. */
final class Jvm {
  /**
   * As the launcher has them, and without the compiler that takes longest: these processes end
   * before it has earned anything.
   */
  static final List<String> OPTIONS =
      List.of(
          "--add-modules=jdk.incubator.vector",
          "--enable-native-access=ALL-UNNAMED",
          "--sun-misc-unsafe-memory-access=allow",
          "-XX:TieredStopAtLevel=1");

  private Jvm() {}

  /** The executable. */
  static String java() {
    return ProcessHandle.current().info().command().orElseThrow();
  }

  /** The command line of a class with a main method. */
  static List<String> command(Class<?> main, List<String> options, List<String> arguments) {
    List<String> command = new ArrayList<>(List.of(java()));
    command.addAll(OPTIONS);
    command.addAll(options);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    command.addAll(arguments);
    return command;
  }
}
