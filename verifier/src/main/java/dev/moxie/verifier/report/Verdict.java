package dev.moxie.verifier.report;

import com.fasterxml.jackson.annotation.JsonProperty;

/** Whether what was checked holds. */
public enum Verdict {
  @JsonProperty("pass")
  PASS,
  @JsonProperty("fail")
  FAIL;

  public static Verdict of(boolean holds) {
    return holds ? PASS : FAIL;
  }

  public boolean passed() {
    return this == PASS;
  }
}
