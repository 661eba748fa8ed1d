package dev.moxie.cli;

import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.text.Line;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code moxie demo}: the other verbs on a checkpoint that ships with the project. */
@Command(
    name = "demo",
    description =
        "Converts the tiny Mixtral that ships with Moxie, verifies it against its source and its"
            + " references, and lets it write.")
final class DemoCommand implements Callable<Integer> {
  private static final List<String> TRACES = List.of("tales", "contes", "sums", "code");

  private static final List<String> PROMPTS =
      List.of("Once upon a time a small owl", "static int sum(int a, int b) {");

  @Option(
      names = "--home",
      paramLabel = "FOLDER",
      hidden = true,
      description = "The project's folder; the launcher passes it.")
  private Path home = Path.of("");

  @Option(
      names = "--output",
      paramLabel = "FOLDER",
      description =
          "Where to put the package; default: target/demo in Moxie's folder, or a new temporary"
              + " folder where that cannot be written.")
  private Path output = Path.of("");

  @Override
  public Integer call() {
    Path checkpoint = home.resolve("fixtures/tiny-mixtral");
    if (!Files.isDirectory(checkpoint)) {
      throw new UsageException(
          checkpoint.toString(), "the demo's checkpoint", "none", "start it as ./moxie demo");
    }
    Path target = output.toString().isEmpty() ? place().resolve("tiny-mixtral.moxie") : output;
    List<String> verify = new ArrayList<>();
    Collections.addAll(verify, "verify", target.toString(), "--source", checkpoint.toString());
    for (String trace : TRACES) {
      verify.add("--reference");
      verify.add(checkpoint.resolve("trace-" + trace + ".safetensors").toString());
    }
    int status = step("inspect", checkpoint.toString());
    if (status == 0) {
      status = step("convert", checkpoint.toString(), target.toString(), "--force");
    }
    if (status == 0) {
      status = step(verify.toArray(String[]::new));
    }
    for (String prompt : PROMPTS) {
      if (status == 0) {
        status = step("run", target.toString(), "--prompt", prompt, "--max-tokens", "60");
      }
    }
    if (status == 0) {
      System.out.println("\n" + Line.of("checkpoint  " + checkpoint));
      System.out.println(Line.of("package     " + target));
      System.out.println("look into it: moxie.json, tensors.arrow, *.safetensors, source/");
    }
    return status;
  }

  private Path place() {
    if (Files.isWritable(home)) {
      return home.resolve("target/demo");
    }
    try {
      return Disk.createTemporaryFolder(
          Path.of(System.getProperty("java.io.tmpdir")), "moxie-demo-");
    } catch (IOException e) {
      throw new EnvironmentException(
          System.getProperty("java.io.tmpdir"),
          "a folder for the demo's package",
          "one that cannot be written",
          "name another with --output");
    }
  }

  private static int step(String... arguments) {
    System.out.println(
        "\n$ moxie "
            + Stream.of(arguments)
                .map(word -> word.contains(" ") ? '"' + word + '"' : word)
                .collect(Collectors.joining(" ")));
    return Main.run(arguments);
  }
}
