package dev.moxie.cli;

import dev.moxie.converter.inspect.Inspection;
import dev.moxie.format.error.MoxieException;
import dev.moxie.format.error.UsageException;
import dev.moxie.verifier.report.AnnotationReport;
import dev.moxie.verifier.report.JUnitReport;
import dev.moxie.verifier.report.JsonReport;
import dev.moxie.verifier.report.MarkdownReport;
import dev.moxie.verifier.report.Report;
import dev.moxie.verifier.report.TextReport;
import dev.moxie.verifier.report.html.HtmlReport;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** In which forms a verification is reported, and where each goes. */
final class ReportOptions {
  private static final Path STANDARD_OUTPUT = Path.of("-");

  @Option(names = "--json", description = "Print the report as one JSON object.")
  private boolean json;

  @Option(
      names = "--html",
      paramLabel = "FILE",
      description = "Write the report as one self-contained page; - for standard output.")
  private @Nullable Path html;

  @Option(
      names = "--junit",
      paramLabel = "FILE",
      description = "Write the report as JUnit XML; - for standard output.")
  private @Nullable Path junit;

  @Option(
      names = "--markdown",
      paramLabel = "FILE",
      description = "Write a summary in Markdown; - for standard output.")
  private @Nullable Path markdown;

  @Option(
      names = "--annotations",
      description = "Also print workflow commands, which GitHub shows as annotations.")
  private boolean annotations;

  /** One form of the report, with where it goes. */
  private record Output(
      Function<Report, String> of, Function<String, String> ofFailure, Consumer<String> target) {}

  /** Places for all that was asked for, made sure of before anything is verified. */
  static final class Outputs {
    private final List<Output> outputs;

    private Outputs(List<Output> outputs) {
      this.outputs = List.copyOf(outputs);
    }

    void write(Report report) {
      outputs.forEach(output -> output.target().accept(output.of().apply(report)));
    }

    /** Says everywhere why there is no report, in one sentence. */
    void write(String failure) {
      outputs.forEach(output -> output.target().accept(output.ofFailure().apply(failure)));
    }
  }

  /**
   * Makes sure of all places.
   *
   * @param others what else the command is to write
   * @throws UsageException if two things would go to one place, or a form into a package or to a
   *     file that is no report
   */
  Outputs open(List<Path> others) {
    requireOneOnStandardOutput();
    List<Path> written = new ArrayList<>(others);
    files().stream().filter(file -> !file.equals(STANDARD_OUTPUT)).forEach(written::add);
    OutputFiles.requireDifferent(written);
    List<Output> outputs = new ArrayList<>();
    // Files first: standard output may be closed by then.
    if (html != null) {
      outputs.add(new Output(ReportOptions::page, HtmlReport::of, target(html, HtmlReport.START)));
    }
    if (junit != null) {
      outputs.add(new Output(JUnitReport::of, JUnitReport::of, target(junit, JUnitReport.START)));
    }
    if (markdown != null) {
      var target = target(markdown, MarkdownReport.START);
      outputs.add(new Output(MarkdownReport::of, MarkdownReport::of, target));
    }
    // Why there is no report is said by whoever reports all failures, in JSON too.
    if (json) {
      outputs.add(new Output(JsonReport::of, failure -> "", ReportOptions::printUnlessEmpty));
    } else if (!files().contains(STANDARD_OUTPUT)) {
      outputs.add(new Output(TextReport::of, failure -> "", ReportOptions::printUnlessEmpty));
    }
    if (annotations) {
      outputs.add(new Output(AnnotationReport::of, AnnotationReport::of, System.out::println));
    }
    return new Outputs(outputs);
  }

  /** With what the model costs, unless the package is so wrong that nobody can say. */
  private static String page(Report report) {
    Inspection model;
    try {
      model = Inspection.of(Path.of(report.packageFolder()), Set.of());
    } catch (MoxieException e) {
      model = null;
    }
    return HtmlReport.of(report, model);
  }

  private static void printUnlessEmpty(String text) {
    if (!text.isEmpty()) {
      System.out.println(text);
    }
  }

  private static Consumer<String> target(Path path, String start) {
    return path.equals(STANDARD_OUTPUT) ? System.out::print : ReportFile.open(path, start)::write;
  }

  private List<Path> files() {
    List<Path> files = new ArrayList<>();
    for (@Nullable Path file : new Path[] {html, junit, markdown}) {
      if (file != null) {
        files.add(file);
      }
    }
    return files;
  }

  private void requireOneOnStandardOutput() {
    long there = files().stream().filter(STANDARD_OUTPUT::equals).count();
    if (there + (json ? 1 : 0) + (annotations ? 1 : 0) > 1) {
      throw new UsageException(
          "standard output",
          "one form of the report at most",
          "several",
          "give others a file each");
    }
  }
}
