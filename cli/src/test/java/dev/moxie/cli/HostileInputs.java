package dev.moxie.cli;

import dev.moxie.converter.checkpoint.Checkpoint;
import dev.moxie.converter.checkpoint.Config;
import dev.moxie.converter.family.ReleaseTensors;
import dev.moxie.converter.inspect.Inspection;
import dev.moxie.converter.plan.Conversion;
import dev.moxie.converter.plan.Executor;
import dev.moxie.converter.plan.Planner;
import dev.moxie.converter.plan.Progress;
import dev.moxie.fixtures.Fixtures;
import dev.moxie.fixtures.MixtralConfig;
import dev.moxie.fixtures.Sharding;
import dev.moxie.fixtures.SyntheticCheckpoint;
import dev.moxie.fixtures.SyntheticValues;
import dev.moxie.format.pack.Manifest;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.format.trace.Trace;
import dev.moxie.runtime.execution.Execution;
import dev.moxie.verifier.ProofByReport;
import dev.moxie.verifier.baseline.BaselineFile;
import dev.moxie.verifier.integrity.IntegrityCheck;
import dev.moxie.verifier.reference.ReferenceCheck;
import dev.moxie.verifier.reference.Running;
import dev.moxie.verifier.reference.Scope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

/** Every file that Moxie parses, each in a folder of its own among files that are right. */
final class HostileInputs {
  private static final String MANIFEST = "moxie.json";
  private static final String INDEX = "tensors.arrow";
  private static final MixtralConfig SMALL = new MixtralConfig(1, 8, 4, 2, 1, 1, 1, 8, 16);

  /** The same with a number for each token of tiny-mixtral's tokenizer. */
  private static final MixtralConfig SPEAKING = new MixtralConfig(1, 8, 4, 2, 1, 1, 1, 8, 512);

  /** A package of a few hundred numbers, which the attacks of format-spec were made from. */
  private static final Path MINIMAL =
      Fixtures.root().resolveSibling("format-spec/conformance/packages/valid/minimal");

  private final Path root;
  private final List<HostileInput> inputs = new ArrayList<>();

  private HostileInputs(Path root) {
    this.root = root;
  }

  /** Makes them all in a new folder. */
  static List<HostileInput> in(Path root) throws IOException {
    var all = new HostileInputs(root);
    all.checkpoints();
    all.packages();
    all.numbers();
    return all.inputs;
  }

  private void checkpoints() throws IOException {
    checkpoint("safetensors", 1, "model.safetensors", Mutation.Form.SAFETENSORS, null);
    checkpoint("index", 3, "model.safetensors.index.json", Mutation.Form.JSON, null);
    checkpoint(
        "generation-config",
        1,
        "generation_config.json",
        Mutation.Form.JSON,
        "{\"bos_token_id\": 1, \"eos_token_id\": [2, 3], \"do_sample\": true}");
    Path folder = folder("config");
    Path config = folder.resolve("config.json");
    add(
        folder,
        config,
        List.of(
            SMALL.json(),
            Files.readAllBytes(Fixtures.config("mixtral-8x22b")),
            Files.readAllBytes(Fixtures.config("deepseek-v3")),
            Files.readAllBytes(Fixtures.config("deepseek-v2-lite"))),
        Mutation.Form.JSON,
        bytes -> bytes,
        () -> Inspection.of(config, Set.of()),
        List.of("inspect", config.toString()));
    journal();
  }

  private void checkpoint(
      String name, int files, String hostile, Mutation.Form form, String content)
      throws IOException {
    Path folder = folder(name);
    Path checkpoint = checkpoint(folder, files, SMALL);
    Path file = checkpoint.resolve(hostile);
    if (content != null) {
      Files.writeString(file, content);
    }
    add(
        folder,
        file,
        List.of(Files.readAllBytes(file)),
        form,
        bytes -> bytes,
        () -> Planner.plan(Checkpoint.open(checkpoint), Conversion.LOSSLESS).contents().bytesRead(),
        List.of("convert", checkpoint.toString(), folder.resolve("made/p").toString(), "--quiet"));
  }

  /** The journal of a conversion that was interrupted; the command goes on with it. */
  private void journal() throws IOException {
    Path folder = folder("journal");
    Path checkpoint = checkpoint(folder, 1, SMALL);
    Path target = folder.resolve("made/p");
    Path file = target.resolveSibling(".p.moxie-journal");
    interrupt(checkpoint, target);
    add(
        folder,
        file,
        List.of(Files.readAllBytes(file)),
        Mutation.Form.JSON_LINES,
        bytes -> bytes,
        null,
        List.of("convert", checkpoint.toString(), target.toString(), "--quiet"));
  }

  private static void interrupt(Path checkpoint, Path target) {
    try {
      Executor.execute(
          Planner.plan(Checkpoint.open(checkpoint), Conversion.LOSSLESS).contents(),
          target,
          new Manifest.Producer("moxie", Version.current()),
          1,
          false,
          new Progress() {
            @Override
            public void advance(long bytes) {}

            @Override
            public void finished(String line) {
              throw new IllegalStateException("interrupted");
            }
          });
    } catch (IllegalStateException e) {
      return;
    }
    throw new IllegalStateException("it was not interrupted");
  }

  private void packages() throws IOException {
    pack("manifest", MANIFEST, Mutation.Form.JSON, (pack, bytes) -> Sealing.manifest(bytes));
    pack("tensors-arrow", INDEX, Mutation.Form.BINARY, Sealing::index);
    pack(
        "shard",
        "experts-L000.safetensors",
        Mutation.Form.SAFETENSORS,
        (pack, bytes) -> Sealing.shard(pack, "experts-L000.safetensors", bytes));
    pack("shard-unsealed", "experts-L000.safetensors", Mutation.Form.BINARY, (p, bytes) -> bytes);
    pack("config-of-a-package", "source/config.json", Mutation.Form.JSON, (p, bytes) -> bytes);
  }

  /** Seals a package whose other files are as they were made. */
  @FunctionalInterface
  private interface PackageSeal {
    byte[] of(Path pack, byte[] bytes) throws IOException;
  }

  private void pack(String name, String hostile, Mutation.Form form, PackageSeal seal)
      throws IOException {
    Path folder = folder(name);
    Path pack = copied(MINIMAL, folder.resolve("p"));
    // What seals are made from, whatever an earlier mutant left.
    Path manifest = folder.resolve("manifest-as-it-was");
    Files.copy(pack.resolve(MANIFEST), manifest);
    add(
        folder,
        pack.resolve(hostile),
        List.of(Files.readAllBytes(pack.resolve(hostile))),
        form,
        bytes -> {
          Files.copy(
              manifest, pack.resolve(MANIFEST), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
          return seal.of(pack, bytes);
        },
        () -> {
          try (MoxiePackage opened = MoxiePackage.open(pack)) {
            return IntegrityCheck.run(opened);
          }
        },
        List.of("verify", pack.toString()));
  }

  private void numbers() throws IOException {
    Path checkpoint = Fixtures.root().resolve("variants/f16-tied");
    Path folder = folder("trace");
    Path pack = converted(checkpoint, folder.resolve("p"));
    Path trace = folder.resolve("trace.safetensors");
    var check =
        new ReferenceCheck(
            MoxiePackage.open(pack),
            Running.onCpu(EnumSet.of(Execution.PLAIN)),
            new ProofByReport(false),
            Scope.all());
    add(
        folder,
        trace,
        List.of(Files.readAllBytes(checkpoint.resolve("trace.safetensors"))),
        Mutation.Form.SAFETENSORS,
        bytes -> bytes,
        () -> {
          try (var opened = Trace.open(trace)) {
            return check.run(opened, null);
          }
        },
        List.of("verify", pack.toString(), "--reference", trace.toString()));

    Path other = folder("baseline");
    Path recorded = other.resolve("baseline.json");
    Path same = converted(checkpoint, other.resolve("p"));
    require(
        "baseline",
        "record",
        same.toString(),
        recorded.toString(),
        "--ids",
        "1,2",
        "--greedy",
        "2");
    add(
        other,
        recorded,
        List.of(Files.readAllBytes(recorded)),
        Mutation.Form.JSON,
        bytes -> bytes,
        () -> BaselineFile.read(recorded),
        List.of("baseline", "check", same.toString(), recorded.toString()));
    tokenizer("tokenizer.json");
    tokenizer("tokenizer_config.json");
  }

  private void tokenizer(String hostile) throws IOException {
    Path folder = folder(hostile.replaceAll("[_.]", "-"));
    Path checkpoint = checkpoint(folder, 1, SPEAKING);
    for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(Fixtures.tinyMixtral().resolve(name), checkpoint.resolve(name));
    }
    Path file = checkpoint.resolve(hostile);
    Path target = root.resolveSibling("packed").resolve(folder.getFileName());
    List<String> convert =
        List.of("convert", checkpoint.toString(), target.toString(), "--quiet", "--force");
    add(
        folder,
        file,
        List.of(Files.readAllBytes(file)),
        Mutation.Form.JSON,
        bytes -> bytes,
        () ->
            Main.run(convert.toArray(String[]::new)) == 0
                ? Main.run("run", target.toString(), "--prompt", "a b", "--max-tokens", "1")
                : 3,
        convert);
  }

  private void add(
      Path folder,
      Path file,
      List<byte[]> originals,
      Mutation.Form form,
      HostileInput.Seal seal,
      Callable<?> open,
      List<String> command) {
    inputs.add(
        new HostileInput(
            root.relativize(folder).toString(),
            folder,
            file,
            originals,
            form,
            seal,
            open,
            command));
  }

  private Path folder(String name) throws IOException {
    return Files.createDirectories(root.resolve(name));
  }

  private static Path checkpoint(Path folder, int files, MixtralConfig config) {
    Path checkpoint = folder.resolve("c");
    var tensors = ReleaseTensors.of(Config.parse("config.json", config.json()));
    SyntheticCheckpoint.write(
        checkpoint, config.json(), Sharding.into(files, tensors), new SyntheticValues(1));
    return checkpoint;
  }

  private static Path converted(Path checkpoint, Path target) {
    require("convert", checkpoint.toString(), target.toString(), "--quiet");
    return target;
  }

  private static Path copied(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
    return to;
  }

  private static void require(String... arguments) {
    CommandLineTest.Outcome outcome = CommandLineTest.moxie(arguments);
    if (outcome.status() != 0) {
      throw new IllegalStateException(List.of(arguments) + ": " + outcome.err());
    }
  }
}
