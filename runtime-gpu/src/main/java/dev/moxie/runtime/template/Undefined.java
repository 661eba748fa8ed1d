package dev.moxie.runtime.template;

/**
 * What a name means that nothing was given for: empty as a text and as a list, and an error as
 * anything else.
 */
record Undefined(String name) {
  TemplateException error() {
    return new TemplateException(name + " is undefined");
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Undefined;
  }

  @Override
  public int hashCode() {
    return 0;
  }
}
