package dev.moxie.runtime.execution;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StorageReadsTest {
  @Test
  void storageIsNotWhatWasAskedForButWhatWasFetched() {
    String account = "rchar: 9000\nsyscr: 7\nread_bytes: 4096\nwrite_bytes: 1\n";
    assertEquals(OptionalLong.of(4096), StorageReads.of(account));
    assertEquals(OptionalLong.empty(), StorageReads.of("rchar: 9000\n"));
  }

  @Test
  void anAccountThatCannotBeReadIsNone(@TempDir Path folder) {
    assertEquals(OptionalLong.empty(), StorageReads.in(folder));
    assertEquals(OptionalLong.empty(), StorageReads.in(folder.resolve("missing")));
  }
}
