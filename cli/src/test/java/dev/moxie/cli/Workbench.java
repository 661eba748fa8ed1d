package dev.moxie.cli;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.FolderDigests;
import dev.moxie.format.json.StrictJson;
import dev.moxie.format.safetensors.Dtype;
import dev.moxie.format.safetensors.SafetensorsFile;
import dev.moxie.format.safetensors.SafetensorsWriter;
import dev.moxie.format.safetensors.Shape;
import dev.moxie.format.safetensors.TensorInfo;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import tools.jackson.databind.node.ObjectNode;

/** What cases are made with: checkpoints, packages, and the command, in a folder of their own. */
final class Workbench {
  /** A process that was still there after the time that any of these inputs may take. */
  static final int HANGS = -1;

  private static final int SECONDS = 20;
  private static final String WEIGHTS = "model.*\\.safetensors";
  private static final Pattern SENTENCE = Pattern.compile("expected (.*), found (.*?); ");

  private final Path folder;

  Workbench(Path folder) {
    this.folder = folder;
  }

  /** A place in the folder. */
  Path at(String name) {
    return folder.resolve(name);
  }

  /** The trained Mixtral, without its traces. */
  Path mixtral() throws IOException {
    return copy(Fixtures.tinyMixtral());
  }

  /** The trained DeepSeek in fp8, without its traces. */
  Path deepSeek() throws IOException {
    return copy(Fixtures.tinyDeepSeek());
  }

  /** A small Mixtral in one file, with tied embeddings. */
  Path tied() throws IOException {
    return copy(Fixtures.root().resolve("variants/f16-tied"));
  }

  Path copy(Path checkpoint) throws IOException {
    Path copy = Files.createDirectory(at("c" + Files.list(folder).count()));
    try (Stream<Path> files = Files.list(checkpoint)) {
      for (Path file : files.toList()) {
        if (!file.getFileName().toString().startsWith("trace")) {
          Files.copy(file, copy.resolve(file.getFileName().toString()));
        }
      }
    }
    return copy;
  }

  /** Puts every tensor into one file, once edited, as transformers saves a small model. */
  Path rewritten(Path checkpoint, UnaryOperator<List<SafetensorsWriter.Tensor>> edit)
      throws IOException {
    List<SafetensorsWriter.Tensor> tensors = tensors(checkpoint);
    try (Stream<Path> files = Files.list(checkpoint)) {
      for (Path file : files.toList()) {
        if (file.getFileName().toString().matches(WEIGHTS + "(\\.index\\.json)?")) {
          Files.delete(file);
        }
      }
    }
    SafetensorsWriter.write(
        checkpoint.resolve("model.safetensors"), Map.of("format", "pt"), edit.apply(tensors));
    return checkpoint;
  }

  static List<SafetensorsWriter.Tensor> tensors(Path checkpoint) throws IOException {
    List<SafetensorsWriter.Tensor> tensors = new ArrayList<>();
    try (Stream<Path> files = Files.list(checkpoint)) {
      for (Path path :
          files.filter(f -> f.getFileName().toString().matches(WEIGHTS)).sorted().toList()) {
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
          for (TensorInfo info : file.header().tensors()) {
            byte[] data = file.data(info).toArray(ValueLayout.JAVA_BYTE);
            tensors.add(
                new SafetensorsWriter.Tensor(
                    info.name(), info.dtype(), info.shape(), ByteBuffer.wrap(data)));
          }
        }
      }
    }
    return tensors;
  }

  static UnaryOperator<List<SafetensorsWriter.Tensor>> renamed(UnaryOperator<String> name) {
    return tensors ->
        tensors.stream()
            .map(
                t ->
                    new SafetensorsWriter.Tensor(
                        name.apply(t.name()), t.dtype(), t.shape(), t.data()))
            .toList();
  }

  static UnaryOperator<List<SafetensorsWriter.Tensor>> with(SafetensorsWriter.Tensor more) {
    return tensors -> Stream.concat(tensors.stream(), Stream.of(more)).toList();
  }

  /** A tensor whose bytes count up from a number. */
  static SafetensorsWriter.Tensor tensor(String name, Dtype dtype, int first, long... shape) {
    var dims = Shape.of(shape);
    byte[] data = new byte[Math.toIntExact(dims.bytes(dtype))];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) (first + i % 60);
    }
    return new SafetensorsWriter.Tensor(name, dtype, dims, ByteBuffer.wrap(data));
  }

  /** Edits config.json. */
  static Path config(Path checkpoint, Consumer<ObjectNode> edit) throws IOException {
    return json(checkpoint, "config.json", edit);
  }

  static Path json(Path checkpoint, String name, Consumer<ObjectNode> edit) throws IOException {
    Path file = checkpoint.resolve(name);
    ObjectNode tree = StrictJson.readObject(file);
    edit.accept(tree);
    Files.write(
        file, StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsBytes(tree));
    return checkpoint;
  }

  /** A member of config.json given as JSON text. */
  static Path member(Path checkpoint, String file, String name, String json) throws IOException {
    return json(checkpoint, file, tree -> tree.set(name, StrictJson.mapper(true).readTree(json)));
  }

  /** Runs the command in this process. */
  CommandLineTest.Outcome moxie(Object... arguments) {
    return CommandLineTest.moxie(words(arguments));
  }

  /** Runs it in a process of its own, for what could hang or end one. */
  CommandLineTest.Outcome process(Object... arguments) throws Exception {
    Process process = start(arguments);
    boolean ended = process.waitFor(SECONDS, TimeUnit.SECONDS);
    process.destroyForcibly().waitFor();
    return new CommandLineTest.Outcome(
        ended ? process.exitValue() : HANGS,
        Files.readString(at("out")),
        Files.readString(at("err")));
  }

  /** Starts it; what it prints goes to the files out and err. */
  Process start(Object... arguments) throws IOException {
    return new ProcessBuilder(
            Jvm.command(Main.class, List.of("-Dai.djl.offline=true"), List.of(words(arguments))))
        .redirectOutput(at("out").toFile())
        .redirectError(at("err").toFile())
        .start();
  }

  private static String[] words(Object... arguments) {
    return Arrays.stream(arguments).map(String::valueOf).toArray(String[]::new);
  }

  /** The package of a checkpoint. */
  Path packed(Path checkpoint, Object... options) {
    Path target = at("p");
    List<Object> arguments = new ArrayList<>(List.of("convert", checkpoint, target, "--quiet"));
    arguments.addAll(List.of(options));
    ends(moxie(arguments.toArray()), 0);
    return target;
  }

  /** Converts, verifies against the checkpoint, exports, and finds the same files again. */
  void survives(Path checkpoint, Object... options) throws IOException {
    Path pack = packed(checkpoint, options);
    ends(moxie("verify", pack, "--source", checkpoint), 0);
    ends(moxie("export", pack, at("again"), "--quiet"), 0);
    require(
        FolderDigests.of(checkpoint).equals(FolderDigests.of(at("again"))),
        "the export differs from the checkpoint");
  }

  /** Holds a run to its status, and to parts of what it says, in any case of letters. */
  static void ends(CommandLineTest.Outcome outcome, int status, String... says) {
    require(outcome.status() == status, found(outcome));
    String text = (outcome.out() + outcome.err()).toLowerCase(Locale.ROOT);
    for (String part : says) {
      require(
          text.contains(part.toLowerCase(Locale.ROOT)),
          "not \"" + part + "\" but: " + found(outcome));
    }
    requireSentences(outcome);
  }

  /** Refused, with whichever of the statuses for that. */
  static void refused(CommandLineTest.Outcome outcome, String... says) {
    require(outcome.status() >= 2 && outcome.status() <= 4, found(outcome));
    ends(outcome, outcome.status(), says);
  }

  static void never(CommandLineTest.Outcome outcome, String says) {
    require(
        !(outcome.out() + outcome.err()).toLowerCase(Locale.ROOT).contains(says),
        "says \"" + says + "\": " + found(outcome));
  }

  private static void requireSentences(CommandLineTest.Outcome outcome) {
    String text = outcome.out() + outcome.err();
    require(
        text.chars().noneMatch(c -> (c < ' ' && c != '\n') || c == 0x7f),
        "control characters: " + found(outcome));
    for (String name : List.of("Exception", "java.", "dev.moxie.", "found null", "\"null\"")) {
      require(!text.contains(name), "says " + name + ": " + found(outcome));
    }
    Matcher sentence = SENTENCE.matcher(text);
    while (sentence.find()) {
      require(!sentence.group(1).equals(sentence.group(2)), "expected is found: " + found(outcome));
    }
  }

  static void require(boolean holds, String found) {
    if (!holds) {
      throw new AssertionError(found);
    }
  }

  private static String found(CommandLineTest.Outcome outcome) {
    String said = outcome.err().isBlank() ? outcome.out() : outcome.err();
    String line = said.strip().replace('\n', ' ');
    return (outcome.status() == HANGS ? "hangs" : String.valueOf(outcome.status()))
        + (line.isEmpty() ? ", silent" : ", " + line);
  }

  /** A file with a text that nobody may change, and what it is called. */
  Path precious(String name) throws IOException {
    Path file = at(name);
    Files.createDirectories(file.getParent());
    Files.writeString(file, "precious\n");
    return file;
  }

  static void requirePrecious(Path file) throws IOException {
    require(
        Files.exists(file, LinkOption.NOFOLLOW_LINKS)
            && Files.readString(file, StandardCharsets.UTF_8).equals("precious\n"),
        file.getFileName() + " was changed or deleted");
  }

  static void fifo(Path path) throws Exception {
    require(
        new ProcessBuilder("mkfifo", path.toString()).start().waitFor() == 0, "mkfifo fails here");
  }
}
