package dev.moxie.cli;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/** The {@code moxie} command. */
@Command(
    name = "moxie",
    description = "Converts, verifies and runs Mixture-of-Experts models.",
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT,
    versionProvider = Version.class,
    subcommands = {
      InspectCommand.class,
      ConvertCommand.class,
      ExportCommand.class,
      ReshardCommand.class,
      VerifyCommand.class,
      RoutingCommand.class,
      DiffCommand.class,
      BaselineCommand.class,
      RunCommand.class,
      BenchCommand.class,
      DemoCommand.class,
      SynthCommand.class
    },
    footer = {
      "",
      "A first round:",
      "  moxie inspect CHECKPOINT            what is this model, what does it cost",
      "  moxie convert CHECKPOINT PACKAGE    turn it into a package",
      "  moxie verify PACKAGE --source CHECKPOINT --reference TRACE",
      "  moxie run PACKAGE --prompt \"Once upon a time\"",
      "  moxie export PACKAGE CHECKPOINT     and back, byte for byte",
      "",
      "Exit status: 0 fine, 1 verification found a mismatch, 2 wrong usage,",
      "3 bad or corrupt input, 4 the environment lacks something."
    })
public final class Main {
  @Option(
      names = "--debug",
      scope = ScopeType.INHERIT,
      description = "Show the stack trace of an error.")
  boolean debug;

  /** Runs the command and ends the process with its exit status. */
  public static void main(String[] arguments) {
    // Digits and decimal points as programs expect them, wherever the user lives.
    Locale.setDefault(Locale.ROOT);
    var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    var err = new PrintStream(System.err, true, StandardCharsets.UTF_8);
    System.setOut(out);
    System.setErr(err);
    if (arguments.length == 1 && arguments[0].equals("--version")) {
      // Scripts ask this often, and need not wait for all commands to be set up.
      Version.lines().forEach(System.out::println);
      return;
    }
    System.exit(run(arguments));
  }

  /** Runs the command and returns its exit status. */
  static int run(String... arguments) {
    var main = new Main();
    try {
      return new CommandLine(main)
          .setCaseInsensitiveEnumValuesAllowed(true)
          .setParameterExceptionHandler(
              (failure, words) -> {
                System.err.println(
                    "moxie: "
                        + String.valueOf(failure.getMessage()).replace('\n', ' ')
                        + "; see "
                        + failure.getCommandLine().getCommandSpec().qualifiedName()
                        + " --help.");
                return Failures.USAGE;
              })
          .setExecutionExceptionHandler(
              (failure, command, result) -> Failures.report(failure, main.debug))
          .execute(arguments);
    } catch (Error e) {
      // The handler above sees exceptions only.
      return Failures.report(e, main.debug);
    }
  }
}
