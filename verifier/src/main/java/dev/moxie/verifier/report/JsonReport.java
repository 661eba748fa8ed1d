package dev.moxie.verifier.report;

import dev.moxie.format.json.StrictJson;

/** The report as one JSON object; its members are the components of {@link Report}. */
public final class JsonReport {
  /** What is left to say when nothing could be verified. */
  private record Failure(Verdict verdict, String error) {}

  private JsonReport() {}

  /** One object, indented. */
  public static String of(Report report) {
    return write(report);
  }

  /** One object that says why there is no report, in one sentence. */
  public static String of(String failure) {
    return write(new Failure(Verdict.FAIL, failure));
  }

  private static String write(Object value) {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(value);
  }
}
