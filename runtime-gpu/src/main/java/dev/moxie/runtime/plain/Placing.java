package dev.moxie.runtime.plain;

/**
 * Embeddings and what their positions add. Where some tokens have no position, how many have one is
 * kept of a sequence.
 */
record Placing(Pass pass, Sinusoids sinusoids, Value x, Value y) implements Instruction {
  @Override
  public void run() {
    pass.copy(x, y);
    for (int t = 0; t < pass.tokens(); t++) {
      int position = pass.position(t);
      if (sinusoids.all()) {
        sinusoids.add(position, pass.array(y), t * y.apart());
        continue;
      }
      Past past = pass.past(t);
      int before = past.placed(position);
      boolean counts = sinusoids.counts(pass.id(t));
      if (counts) {
        sinusoids.add(before, pass.array(y), t * y.apart());
      }
      past.place(position + 1, counts ? before + 1 : before);
    }
  }
}
