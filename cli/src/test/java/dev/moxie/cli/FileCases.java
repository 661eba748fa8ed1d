package dev.moxie.cli;

import static dev.moxie.cli.Workbench.HANGS;
import static dev.moxie.cli.Workbench.ends;
import static dev.moxie.cli.Workbench.fifo;
import static dev.moxie.cli.Workbench.refused;
import static dev.moxie.cli.Workbench.require;
import static dev.moxie.cli.Workbench.requirePrecious;

import dev.moxie.fixtures.FolderDigests;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What strangers left beside a target. */
final class FileCases {
  private static final String REFUSED = "refused, nothing touched";

  private final List<Case> cases = new ArrayList<>();

  private FileCases() {}

  static List<Case> all() {
    var all = new FileCases();
    for (String verb : List.of("convert", "reshard", "export")) {
      all.folders(verb);
    }
    all.files();
    all.pipes();
    all.graphs();
    return all.cases;
  }

  private void add(String kind, String input, String expected, Case.Check check) {
    cases.add(new Case(kind, input, expected, check));
  }

  /** What a verb makes its target from; the target is made beside {@code sub}. */
  private static Object[] command(Workbench bench, String verb, Path target) throws IOException {
    Path source = bench.tied();
    return verb.equals("convert")
        ? new Object[] {verb, source, target}
        : new Object[] {verb, bench.packed(source), target};
  }

  private void folders(String verb) {
    add(
        "linked partial",
        verb + ", to a folder of files",
        REFUSED,
        bench -> {
          Path precious = bench.precious("precious/t");
          Path target = beside(bench, "partial", precious.getParent());
          refused(bench.moxie(command(bench, verb, target)));
          requirePrecious(precious);
          require(Files.notExists(target), "made the target");
        });
    add(
        "linked partial",
        verb + ", to nowhere",
        REFUSED,
        bench -> {
          Path nowhere = bench.at("nowhere");
          Path target = beside(bench, "partial", nowhere);
          refused(bench.moxie(command(bench, verb, target)), ".t.moxie-partial");
          require(Files.notExists(nowhere), "made what the link leads to");
        });
    add(
        "foreign partial",
        verb + ", a folder with a file",
        REFUSED,
        bench -> {
          Path target = Files.createDirectory(bench.at("sub")).resolve("t");
          Path precious = bench.precious("sub/.t.moxie-partial/t");
          refused(bench.moxie(command(bench, verb, target)));
          requirePrecious(precious);
        });
    add(
        "foreign partial",
        verb + " --force, a folder with a file",
        REFUSED,
        bench -> {
          Path target = Files.createDirectory(bench.at("sub")).resolve("t");
          Path precious = bench.precious("sub/.t.moxie-partial/t");
          List<Object> forced = new ArrayList<>(List.of(command(bench, verb, target)));
          if (!verb.equals("export")) {
            forced.add("--force");
          }
          refused(bench.moxie(forced.toArray()));
          requirePrecious(precious);
        });
    add(
        "foreign partial",
        verb + ", a file",
        REFUSED,
        bench -> {
          Path target = Files.createDirectory(bench.at("sub")).resolve("t");
          Path precious = bench.precious("sub/.t.moxie-partial");
          refused(bench.moxie(command(bench, verb, target)));
          requirePrecious(precious);
        });
    add(
        "foreign old",
        verb + ", a folder .t.moxie-old with a file",
        "it stays",
        bench -> {
          Path target = Files.createDirectory(bench.at("sub")).resolve("t");
          Path precious = bench.precious("sub/.t.moxie-old/t");
          bench.moxie(command(bench, verb, target));
          requirePrecious(precious);
        });
    for (String name : List.of("journal", "lock")) {
      add(
          "linked " + name,
          verb + ", to a file",
          REFUSED,
          bench -> {
            Path precious = bench.precious("t");
            Path target = beside(bench, name, precious);
            refused(bench.moxie(command(bench, verb, target)));
            requirePrecious(precious);
          });
      add(
          "linked " + name,
          verb + ", to nowhere",
          REFUSED,
          bench -> {
            Path nowhere = bench.at("nowhere");
            Path target = beside(bench, name, nowhere);
            refused(bench.moxie(command(bench, verb, target)));
            require(Files.notExists(nowhere), "made what the link leads to");
          });
      add(
          "hard " + name,
          verb + ", a second name of a file",
          REFUSED,
          bench -> {
            Path precious = bench.precious("t");
            Path target = Files.createDirectory(bench.at("sub")).resolve("t");
            Files.createLink(bench.at("sub/.t.moxie-" + name), precious);
            refused(bench.moxie(command(bench, verb, target)));
            requirePrecious(precious);
            requirePrecious(bench.at("sub/.t.moxie-" + name));
          });
      add(
          "foreign " + name,
          verb + ", a file",
          REFUSED,
          bench -> {
            Path target = Files.createDirectory(bench.at("sub")).resolve("t");
            Path precious = bench.precious("sub/.t.moxie-" + name);
            refused(bench.moxie(command(bench, verb, target)));
            requirePrecious(precious);
          });
    }
    add(
        "linked partial",
        verb + ", nothing beside it",
        "works, nothing is left",
        bench -> {
          Path target = Files.createDirectory(bench.at("sub")).resolve("t");
          ends(bench.moxie(command(bench, verb, target)), 0);
          try (var left = Files.list(bench.at("sub"))) {
            require(left.count() == 1, "something is left beside it");
          }
        });
  }

  /** A target with a link beside it. */
  private static Path beside(Workbench bench, String name, Path to) throws IOException {
    Path target = Files.createDirectory(bench.at("sub")).resolve("t");
    Files.createSymbolicLink(bench.at("sub/.t.moxie-" + name), to);
    return target;
  }

  /** Commands that make one file in the folder sub, by the name of that file. */
  private static final Map<String, List<Object>> FILES =
      Map.of(
          "r.html", List.of("verify", "P", "--html", "F"),
          "r.xml", List.of("verify", "P", "--junit", "F"),
          "r.arrow", List.of("routing", "P", "--ids", "1,2", "--arrow", "F"),
          "r.safetensors", List.of("routing", "P", "--ids", "1,2", "--replay", "F"),
          "b.json", List.of("baseline", "record", "P", "F", "--ids", "1,2"),
          "g.onnx", List.of("inspect", "P", "--onnx", "F"));

  private static Object[] command(String file, Path pack, Path target) {
    return FILES.get(file).stream()
        .map(word -> word.equals("P") ? pack : word.equals("F") ? target : word)
        .toArray();
  }

  private void files() {
    for (String file : FILES.keySet().stream().sorted().toList()) {
      String verb = String.valueOf(FILES.get(file).getFirst());
      add(
          "linked staged file",
          verb + ", ." + file + ".moxie-partial to a file",
          "refused, named",
          bench -> {
            Path pack = bench.packed(bench.tied());
            Path precious = bench.precious("t");
            Files.createDirectory(bench.at("sub"));
            Files.createSymbolicLink(bench.at("sub/." + file + ".moxie-partial"), precious);
            refused(bench.moxie(command(file, pack, bench.at("sub/" + file))), ".moxie-partial");
            requirePrecious(precious);
          });
      add(
          "hard staged file",
          verb + ", ." + file + ".moxie-partial a second name",
          REFUSED,
          bench -> {
            Path pack = bench.packed(bench.tied());
            Path precious = bench.precious("t");
            Files.createDirectory(bench.at("sub"));
            Files.createLink(bench.at("sub/." + file + ".moxie-partial"), precious);
            refused(bench.moxie(command(file, pack, bench.at("sub/" + file))));
            requirePrecious(precious);
          });
      add(
          "existing result",
          verb + ", " + file + " is somebody's notes",
          "refused, it stays",
          bench -> {
            Path pack = bench.packed(bench.tied());
            Path precious = bench.precious("sub/" + file);
            refused(bench.moxie(command(file, pack, precious)));
            requirePrecious(precious);
          });
    }
  }

  private void pipes() {
    for (String name : List.of("lock", "journal", "partial", "old")) {
      add(
          "pipes",
          "convert, .t.moxie-" + name,
          "refused at once",
          bench -> {
            Path source = bench.tied();
            Path target = Files.createDirectory(bench.at("sub")).resolve("t");
            fifo(bench.at("sub/.t.moxie-" + name));
            refused(bench.process("convert", source, target));
          });
    }
    add(
        "pipes",
        "export, .t.moxie-lock",
        "refused at once",
        bench -> {
          Path pack = bench.packed(bench.tied());
          Path target = Files.createDirectory(bench.at("sub")).resolve("t");
          fifo(bench.at("sub/.t.moxie-lock"));
          refused(bench.process("export", pack, target));
        });
    add(
        "pipes",
        "verify --html, .r.html.moxie-partial",
        "refused at once",
        bench -> {
          Path pack = bench.packed(bench.tied());
          Files.createDirectory(bench.at("sub"));
          fifo(bench.at("sub/.r.html.moxie-partial"));
          refused(bench.process("verify", pack, "--html", bench.at("sub/r.html")));
        });
    add(
        "pipes",
        "a companion of the checkpoint",
        "left out and named, or refused",
        bench -> {
          Path source = bench.tied();
          fifo(source.resolve("notes.md"));
          CommandLineTest.Outcome outcome = bench.process("convert", source, bench.at("p"));
          require(outcome.status() != HANGS, "hangs");
          ends(outcome, outcome.status(), "notes.md");
        });
  }

  private void graphs() {
    add(
        "onnx",
        "a file of another kind",
        "2",
        bench -> {
          Path pack = bench.packed(bench.tied());
          Path precious = bench.precious("t");
          ends(bench.moxie("inspect", pack, "--onnx", precious), 2);
          requirePrecious(precious);
        });
    add(
        "onnx",
        "a link to a file of another kind",
        "2",
        bench -> {
          Path pack = bench.packed(bench.tied());
          Path precious = bench.precious("t");
          Path link = Files.createSymbolicLink(bench.at("link.onnx"), precious);
          ends(bench.moxie("inspect", pack, "--onnx", link), 2);
          requirePrecious(precious);
        });
    add(
        "onnx",
        "the manifest of the package",
        "2",
        bench -> {
          Path pack = bench.packed(bench.tied());
          Map<String, String> before = FolderDigests.of(pack);
          ends(bench.moxie("inspect", pack, "--onnx", pack.resolve("moxie.json")), 2);
          require(before.equals(FolderDigests.of(pack)), "the package changed");
        });
    add(
        "onnx",
        "a file inside the package",
        "2",
        bench -> {
          Path pack = bench.packed(bench.tied());
          ends(bench.moxie("inspect", pack, "--onnx", pack.resolve("g.onnx")), 2);
          require(
              Files.notExists(pack.resolve("g.onnx"), LinkOption.NOFOLLOW_LINKS), "made it there");
        });
    add(
        "onnx",
        "a folder that is not there",
        "2",
        bench -> {
          Path pack = bench.packed(bench.tied());
          ends(bench.moxie("inspect", pack, "--onnx", bench.at("none/g.onnx")), 2);
        });
    add(
        "onnx",
        "a new name, twice",
        "0, and again",
        bench -> {
          Path pack = bench.packed(bench.tied());
          ends(bench.moxie("inspect", pack, "--onnx", bench.at("g.onnx")), 0);
          ends(bench.moxie("inspect", pack, "--onnx", bench.at("g.onnx")), 0);
        });
  }
}
