package dev.moxie.format.model;

import java.util.Locale;

/** A step of a decoder layer that other implementations record too; TRACE.md says what each is. */
public enum Step {
  INPUT,
  MOE_INPUT,
  ROUTER_LOGITS,
  ROUTER_EXPERTS,
  ROUTER_DROPPED,
  ROUTER_WEIGHTS,
  EXPERTS_OUTPUT,
  MOE_OUTPUT,
  OUTPUT;

  private final String id = name().toLowerCase(Locale.ROOT).replace('_', '.');

  /** The name in a trace, within its layer. */
  public String id() {
    return id;
  }
}
