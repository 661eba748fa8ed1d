package dev.moxie.format.encoding;

/** Elements are stored one by one, as their dtype says. */
public record Plain() implements Encoding {
  @Override
  public String id() {
    return "plain";
  }
}
