package dev.moxie.verifier.report;

import dev.moxie.format.json.StrictJson;

/** The report as one JSON object; its members are the components of {@link Report}. */
public final class JsonReport {
  private JsonReport() {}

  /** One object, indented. */
  public static String of(Report report) {
    return StrictJson.mapper(false).writerWithDefaultPrettyPrinter().writeValueAsString(report);
  }
}
