package dev.moxie.cli;

import dev.moxie.format.text.Line;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
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
      FamiliesCommand.class,
      ConvertCommand.class,
      ExportCommand.class,
      ReshardCommand.class,
      SignCommand.class,
      VerifyCommand.class,
      RoutingCommand.class,
      EvalCommand.class,
      DiffCommand.class,
      BaselineCommand.class,
      RunCommand.class,
      ServeCommand.class,
      BenchCommand.class,
      DemoCommand.class,
      SynthCommand.class
    },
    footer = {
      "",
      "A first round:",
      "  moxie families                      which models, and how far each is verified",
      "  moxie inspect CHECKPOINT            what is this model, what does it cost",
      "  moxie convert CHECKPOINT PACKAGE    turn it into a package",
      "  moxie verify PACKAGE --source CHECKPOINT --reference TRACE",
      "  moxie run PACKAGE --prompt \"Once upon a time\"",
      "  moxie serve PACKAGE                 answer OpenAI's clients over HTTP",
      "  moxie export PACKAGE CHECKPOINT     and back, byte for byte",
      "",
      "Exit status: 0 fine, 1 verification found a mismatch, 2 wrong usage,",
      "3 bad or corrupt input, 4 the environment lacks something, or what was",
      "printed could not be written, be it that its reader was gone."
    })
public final class Main {
  @Option(
      names = "--debug",
      scope = ScopeType.INHERIT,
      description = "Show the stack trace of an error.")
  boolean debug;

  /**
   * Runs the command and ends the process with its exit status. A JVM that fails ends with 1, so
   * that a launcher names another status for a difference.
   */
  public static void main(String[] arguments) {
    // Digits and decimal points as programs expect them, wherever the user lives.
    Locale.setDefault(Locale.ROOT);
    System.setOut(new StandardOutput(new FileOutputStream(FileDescriptor.out)));
    System.setErr(
        new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8));
    int status = Failures.ENVIRONMENT;
    try {
      status = run(arguments);
    } finally {
      // Where not even a sentence could be made, the JVM would end with 1: a difference.
      System.exit(
          status == Failures.MISMATCH ? Integer.getInteger("moxie.difference", status) : status);
    }
  }

  /** Runs the command and returns its exit status. */
  static int run(String... arguments) {
    var main = new Main();
    boolean json = List.of(arguments).contains("--json");
    try {
      CommandWords.require(arguments);
      if (arguments.length == 1 && arguments[0].equals("--version")) {
        // Scripts ask this often, and need not wait for all commands to be set up.
        Version.lines().forEach(System.out::println);
        return 0;
      }
      // Help is printed here and not by the library, which would print where it fails as well.
      var help = new StringWriter();
      int status =
          new CommandLine(main)
              .setOut(new PrintWriter(help))
              .setCaseInsensitiveEnumValuesAllowed(true)
              .setParameterExceptionHandler(
                  (failure, words) ->
                      Failures.report(
                          new Failures.Failure(
                              Failures.USAGE,
                              Line.of(String.valueOf(failure.getMessage()).replace('\n', ' '))
                                  + "; see "
                                  + failure.getCommandLine().getCommandSpec().qualifiedName()
                                  + " --help."),
                          json))
              .setExecutionExceptionHandler(
                  (failure, command, result) -> main.report(failure, json))
              .execute(arguments);
      if (!help.toString().isEmpty()) {
        System.out.print(help);
      }
      return status;
    } catch (RuntimeException | Error e) {
      // The handler above sees exceptions of commands only.
      return main.report(e, json);
    }
  }

  private int report(Throwable failure, boolean json) {
    if (debug) {
      failure.printStackTrace();
    }
    return Failures.report(Failures.of(failure), json);
  }
}
