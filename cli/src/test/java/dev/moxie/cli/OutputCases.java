package dev.moxie.cli;

import static dev.moxie.cli.Workbench.HANGS;
import static dev.moxie.cli.Workbench.ends;
import static dev.moxie.cli.Workbench.member;
import static dev.moxie.cli.Workbench.refused;
import static dev.moxie.cli.Workbench.require;
import static dev.moxie.cli.Workbench.tensor;
import static dev.moxie.cli.Workbench.with;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.safetensors.Dtype;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What is said, and how it ends, where inputs beside the weights are odd. */
final class OutputCases {
  private static final Object[] RUN = {
    "--prompt-ids", "1,2", "--max-tokens", "3", "--device", "cpu"
  };

  private final List<Case> cases = new ArrayList<>();

  private OutputCases() {}

  static List<Case> all() {
    var all = new OutputCases();
    all.endTokens();
    all.tokenizers();
    all.controlCharacters();
    all.places();
    return all.cases;
  }

  private void add(String kind, String input, String expected, Case.Check check) {
    cases.add(new Case(kind, input, expected, check));
  }

  private static CommandLineTest.Outcome run(Workbench bench, Path pack) {
    List<Object> words = new ArrayList<>(List.of("run", pack));
    words.addAll(List.of(RUN));
    return bench.moxie(words.toArray());
  }

  private void endTokens() {
    for (String file : List.of("generation_config.json", "config.json")) {
      for (String value : List.of("512", "-1", "[2, 512]", "[-1]", "9223372036854775807")) {
        add(
            "eos outside",
            file + " " + value,
            "runs, warned of at convert",
            bench -> {
              Path checkpoint = bench.mixtral();
              if (file.equals("config.json")) {
                Files.delete(checkpoint.resolve("generation_config.json"));
              }
              member(checkpoint, file, "eos_token_id", value);
              String id = value.replaceAll(".*?(-?\\d+)\\]?$", "$1");
              ends(bench.moxie("convert", checkpoint, bench.at("p")), 0, "eos_token_id", id);
              ends(run(bench, bench.at("p")), 0);
              ends(bench.moxie("inspect", checkpoint), 0, id);
            });
      }
      for (String value :
          List.of(
              "9223372036854775808",
              "\"x\"",
              "{}",
              "1.5",
              "[[1]]",
              "[2, \"x\"]",
              "true",
              "1e300",
              "[1.0]")) {
        add(
            "eos absurd",
            file + " " + value,
            "3 at convert",
            bench -> {
              Path checkpoint = member(bench.mixtral(), file, "eos_token_id", value);
              ends(bench.moxie("convert", checkpoint, bench.at("p")), 3, "eos_token_id");
              require(Files.notExists(bench.at("p")), "made a package");
            });
      }
      add(
          "eos absurd",
          file + " null and []",
          "converts and runs",
          bench -> {
            Path checkpoint = member(bench.mixtral(), file, "eos_token_id", "[]");
            ends(bench.moxie("convert", checkpoint, bench.at("q"), "--quiet"), 0);
            member(checkpoint, file, "eos_token_id", "null");
            ends(run(bench, bench.packed(checkpoint)), 0);
          });
    }
    add(
        "eos absurd",
        "generation_config.json a list",
        "3 at convert",
        bench -> {
          Path checkpoint = bench.mixtral();
          Files.writeString(checkpoint.resolve("generation_config.json"), "[]");
          ends(bench.moxie("convert", checkpoint, bench.at("p")), 3, "generation_config.json");
        });
  }

  private void tokenizers() {
    tokenizer("the begin token renamed in the template", "\"<s>\"", "\"a\"", 46);
    tokenizer(
        "the token of the template missing", "\"content\": \"<s>\"", "\"content\": \"<t>\"", 0);
    tokenizer("a model of no known type", "\"type\": \"BPE\"", "\"type\": \"BPF\"", 0);
    tokenizer(
        "merges that are no words of the vocabulary",
        "\"merges\": [",
        "\"merges\": [[\"\\u0000q\", \"zz\\u0001\"],",
        0);
    tokenizer("half of the file", null, "", 0);
    tokenizer("an empty object", null, "{}", 0);
    tokenizer("a list", null, "[]", 0);
  }

  private void tokenizer(String input, String from, String to, int line) {
    add(
        "tokenizer",
        input,
        "0 where it can be used, 3 where not, never the end of the process",
        bench -> {
          Path checkpoint = bench.mixtral();
          Path file = checkpoint.resolve("tokenizer.json");
          String text = Files.readString(file);
          String edited;
          if (from == null) {
            edited = to.isEmpty() ? text.substring(0, text.length() / 2) : to;
          } else if (line > 0) {
            List<String> lines = new ArrayList<>(text.lines().toList());
            lines.set(line - 1, lines.get(line - 1).replace(from, to));
            edited = String.join("\n", lines);
          } else {
            edited = text.replaceFirst(Pattern.quote(from), Matcher.quoteReplacement(to));
          }
          require(!edited.equals(text), "the edit did nothing");
          Files.writeString(file, edited);
          CommandLineTest.Outcome convert =
              bench.process("convert", checkpoint, bench.at("p"), "--quiet");
          if (convert.status() != 0) {
            ends(convert, 3, "tokenizer.json");
            return;
          }
          for (String verb : List.of("run", "routing")) {
            CommandLineTest.Outcome outcome =
                bench.process(verb, bench.at("p"), "--prompt", "a", "--max-tokens", "4");
            if (outcome.status() != 0) {
              ends(outcome, 3, "tokenizer.json");
            }
          }
        });
  }

  private void controlCharacters() {
    String name = "model.\u001b]0;x\u0007\n::error::.weight";
    String expected = "escaped";
    Object[][] commands = {
      {"diff", "C", "T"}, {"diff", "T", "C"}, {"convert", "C", "P"}, {"inspect", "C"}
    };
    for (Object[] command : commands) {
      add(
          "control characters",
          command[0] + " " + command[1] + ", a tensor's name",
          expected,
          bench -> {
            Path checkpoint = bench.rewritten(bench.tied(), with(tensor(name, Dtype.F16, 0, 2, 2)));
            Path plain = bench.tied();
            Object[] words = new Object[command.length];
            for (int i = 0; i < words.length; i++) {
              words[i] =
                  command[i].equals("C")
                      ? checkpoint
                      : command[i].equals("T")
                          ? plain
                          : command[i].equals("P") ? bench.at("p") : command[i];
            }
            CommandLineTest.Outcome outcome = bench.moxie(words);
            require(outcome.status() <= 4, "status " + outcome.status());
            ends(outcome, outcome.status());
            require(
                !(outcome.out() + outcome.err()).contains("\n::error::"),
                "a line of its own: ::error::");
          });
    }
    add(
        "control characters",
        "a key of config.json",
        expected,
        bench -> {
          Path checkpoint =
              member(bench.tied(), "config.json", "k\u001b]0;x\u0007\n::error::", "1");
          ends(bench.moxie("convert", checkpoint, bench.at("p")), 3);
        });
    add(
        "control characters",
        "a companion's name",
        expected,
        bench -> {
          Path checkpoint = bench.tied();
          Files.writeString(checkpoint.resolve("k\u001b]0;x\u0007\n::error::"), "x");
          CommandLineTest.Outcome outcome = bench.moxie("convert", checkpoint, bench.at("p"));
          ends(outcome, outcome.status());
        });
    add(
        "control characters",
        "a folder's name, in usage",
        expected,
        bench -> refused(bench.moxie("inspect", bench.at("k\u001b]0;x\u0007\n::error::"))));
    add(
        "control characters",
        "a stranger in a package, verify",
        expected,
        bench -> {
          Path pack = bench.packed(bench.tied());
          Files.writeString(pack.resolve("k\u001b]0;x\u0007\n::error::"), "x");
          for (String form : List.of("", "--annotations", "--json")) {
            CommandLineTest.Outcome outcome =
                form.isEmpty() ? bench.moxie("verify", pack) : bench.moxie("verify", pack, form);
            ends(outcome, 1);
          }
        });
  }

  private void places() {
    add(
        "messages",
        "a package folder that cannot be read",
        "4, named",
        bench -> {
          Path pack = bench.packed(bench.tied());
          Files.setPosixFilePermissions(pack, PosixFilePermissions.fromString("---------"));
          try {
            // Whoever may read everything can.
            if (!Files.isReadable(pack)) {
              ends(bench.moxie("verify", pack), 4, pack.toString());
            }
          } finally {
            Files.setPosixFilePermissions(pack, PosixFilePermissions.fromString("rwxr-xr-x"));
          }
        });
    add(
        "messages",
        "a target that is a dangling link",
        "refused, named",
        bench -> {
          Path source = bench.tied();
          Path link = Files.createSymbolicLink(bench.at("link"), bench.at("nowhere"));
          refused(bench.moxie("convert", source, link), "link");
          require(Files.notExists(bench.at("nowhere")), "made what the link leads to");
        });
    add(
        "messages",
        "a package that is a file",
        "refused, named",
        bench -> {
          Path file = bench.precious("t");
          for (String verb : List.of("verify", "inspect", "export")) {
            refused(
                verb.equals("export")
                    ? bench.moxie(verb, file, bench.at("x"))
                    : bench.moxie(verb, file),
                "t");
          }
        });
    add(
        "messages",
        "a folder where a trace belongs",
        "refused, named",
        bench -> {
          Path pack = bench.packed(bench.tied());
          refused(bench.moxie("verify", pack, "--reference", pack), "p");
        });
    add(
        "replaced while read",
        "verify, while convert --force replaces",
        "passes, or says it changed",
        bench -> {
          Path pack = bench.packed(bench.mixtral());
          Path other = Fixtures.root().resolve("random/mixtral");
          for (int i = 0; i < 3; i++) {
            Process verify = bench.start("verify", pack);
            for (int turn = 0; verify.isAlive() && turn < 200; turn++) {
              bench.moxie(
                  "convert",
                  turn % 2 == 0 ? other : Fixtures.tinyMixtral(),
                  pack,
                  "--force",
                  "--quiet");
            }
            boolean ended = verify.waitFor(60, TimeUnit.SECONDS);
            verify.destroyForcibly().waitFor();
            var outcome =
                new CommandLineTest.Outcome(
                    ended ? verify.exitValue() : HANGS,
                    Files.readString(bench.at("out")),
                    Files.readString(bench.at("err")));
            if (outcome.status() != 0) {
              ends(outcome, outcome.status(), "changed while it was read");
            }
          }
        });
  }
}
