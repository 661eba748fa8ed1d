package dev.moxie.runtime.template;

/**
 * A piece of a template.
 *
 * @param text of data and strings what they stand for, else what is written
 * @param line from 1
 */
record Token(Kind kind, String text, int line) {
  enum Kind {
    DATA,
    BEGIN_VALUE,
    END_VALUE,
    BEGIN_STATEMENT,
    END_STATEMENT,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean is(Kind other, String what) {
    return kind == other && text.equals(what);
  }

  boolean isName(String what) {
    return is(Kind.NAME, what);
  }

  boolean isOperator(String what) {
    return is(Kind.OPERATOR, what);
  }
}
