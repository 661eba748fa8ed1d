package dev.moxie.cli;

import dev.moxie.format.error.UsageException;
import dev.moxie.verifier.routing.Corpus;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Spec.Target;

/** What to run a model on. */
final class CorpusOptions {
  @Spec(Target.MIXEE)
  private CommandSpec verb = CommandSpec.create();

  @Option(
      names = "--text",
      paramLabel = "FILE",
      description = "A text in UTF-8, of any size; repeatable.")
  private List<Path> texts = new ArrayList<>();

  @Option(names = "--prompt", paramLabel = "TEXT", description = "A text; repeatable.")
  private List<String> prompts = new ArrayList<>();

  @Option(
      names = "--ids",
      paramLabel = "ID,…",
      converter = TokenIds.class,
      description = "Tokens, where there is no tokenizer; repeatable.")
  private List<long[]> ids = new ArrayList<>();

  /**
   * All of it.
   *
   * @throws UsageException if there is none
   */
  Corpus corpus() {
    if (texts.isEmpty() && prompts.isEmpty() && ids.isEmpty()) {
      throw new UsageException(
          verb.qualifiedName(), "--text, --prompt or --ids", "none of them", "say what to run on");
    }
    return new Corpus(texts, prompts, ids);
  }
}
