package dev.moxie.runtime.plain;

/** Successive rows of a matrix, where they lie. */
record SomeRows(StoredMatrix of, int first, int rows) implements StoredMatrix {
  @Override
  public int columns() {
    return of.columns();
  }

  @Override
  public long storedBytes() {
    return of.storedBytes() * rows / of.rows();
  }

  @Override
  public void read(int row, float[] into, int at) {
    of.read(first + row, into, at);
  }

  @Override
  public boolean paired() {
    return of.paired();
  }

  @Override
  public int few() {
    return of.few();
  }

  @Override
  public void dots(int row, int apart, float[] x, int at, float[] lanes) {
    of.dots(first + row, apart, x, at, lanes);
  }

  @Override
  public void pair(int row, int apart, float[] x, int at, int other, float[] lanes) {
    of.pair(first + row, apart, x, at, other, lanes);
  }
}
