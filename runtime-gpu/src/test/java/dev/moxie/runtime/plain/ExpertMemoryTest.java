package dev.moxie.runtime.plain;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.moxie.fixtures.Fixtures;
import dev.moxie.format.error.EnvironmentException;
import dev.moxie.format.error.UsageException;
import dev.moxie.format.file.Disk;
import dev.moxie.format.pack.IndexRow;
import dev.moxie.format.pack.MoxiePackage;
import dev.moxie.runtime.Packages;
import dev.moxie.runtime.Unproven;
import dev.moxie.runtime.execution.PlainModel;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class ExpertMemoryTest {
  private static final int SIZE = 1 << 21;

  @TempDir Path folder;

  /** What the system says of the pages, not what the class believes. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void theLeastUsedLeaveMemory() throws IOException {
    assumePagesGo();
    try (Arena arena = Arena.ofShared()) {
      List<MemorySegment> experts = mapped(4, arena);
      var memory = new ExpertMemory(2 * SIZE);
      ExpertMemory.Layer layer = memory.layer(0, 4);
      for (int e = 0; e < 4; e++) {
        layer.put(e, List.of(experts.get(e)));
      }
      for (int chosen : new int[] {0, 1, 0, 1, 0, 2, 3, 3}) {
        choose(layer, experts, chosen);
      }
      // 1 left for 2, which was used least when 3 came.
      assertEquals(List.of(true, false, false, true), areResident(experts));
      choose(layer, experts, 1);
      assertEquals(List.of(true, true, false, false), areResident(experts));
      assertEquals(List.of(3L, 3L, 1L, 2L), memory.uses().getFirst().tokens());
      assertEquals(9L * SIZE, memory.hits().chosenBytes());
    }
  }

  private static void choose(ExpertMemory.Layer layer, List<MemorySegment> experts, int expert) {
    int[] first = new int[5];
    for (int e = expert + 1; e < 5; e++) {
      first[e] = 1;
    }
    layer.bring(new int[] {expert}, 1, first);
    new MemorySweep(List.of(experts.get(expert))).run();
  }

  private List<MemorySegment> mapped(int count, Arena arena) throws IOException {
    Path file = folder.resolve("experts");
    try (FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.allocate(count * SIZE));
      channel.force(true);
      MemorySegment all = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
      List<MemorySegment> experts = new ArrayList<>();
      for (int e = 0; e < count; e++) {
        experts.add(all.asSlice((long) e * SIZE, SIZE));
      }
      forget(experts);
      assertEquals(List.of(false, false, false, false), areResident(experts));
      return experts;
    }
  }

  /** What was written, or read beside something else, is in memory and leaves it once mapped. */
  private static void forget(List<MemorySegment> bytes) {
    new MemorySweep(bytes).run();
    bytes.forEach(pages()::release);
  }

  private static MappedPages pages() {
    return new MappedPages(System.getProperty("os.name"));
  }

  /** By most of their pages, since the system may be busy with some. */
  private static List<Boolean> areResident(List<MemorySegment> experts) {
    return experts.stream().map(bytes -> pages().resident(bytes) > SIZE / 2).toList();
  }

  /** A file system in memory has nowhere to let pages go to. */
  private void assumePagesGo() throws IOException {
    assumeFalse(Files.getFileStore(folder).type().equals("tmpfs"));
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aModelInLittleMemoryComputesTheSameAndStaysInIt() throws IOException {
    assumePagesGo();
    long[] ids = {3, 14, 15, 92, 65, 35, 89, 79};
    Packages.convert(Fixtures.tinyMixtral(), folder.resolve("p")).close();
    staysInLittleMemory(ids);
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void soDoesOneOfExpertsWithScales() throws IOException {
    assumePagesGo();
    Packages.quantise(Fixtures.tinyMixtral(), folder.resolve("p")).close();
    staysInLittleMemory(3, 14, 15, 92, 65, 35, 89, 79);
  }

  private void staysInLittleMemory(long... ids) {
    float[] expected = logits(null, ids);
    long least = least();
    assertArrayEquals(expected, logits(least, ids));
    String message = assertThrows(UsageException.class, () -> logits(least - 1, ids)).getMessage();
    assertTrue(message.contains("found " + (least - 1) + "; pass more."), message);
  }

  /** Two of eight experts are chosen, and the least memory is for those of two of four layers. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void scalesCountAsTheNumbersDo() throws IOException {
    assumePagesGo();
    long experts;
    long others;
    try (MoxiePackage pack = Packages.quantise(Fixtures.tinyMixtral(), folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      experts = bytes(pack, IndexRow.Kind.STACK);
      others = bytes(pack, IndexRow.Kind.TENSOR);
      ExpertMemory memory = model.limitMemory(Integer.MAX_VALUE);
      model.begin(1);
      model.next(new long[1]);
      assertEquals(experts / 4, memory.hits().chosenBytes());
    }
    assertEquals(others + experts / 4 / 2, least());
  }

  private static long bytes(MoxiePackage pack, IndexRow.Kind kind) {
    return pack.rows().stream().filter(row -> row.kind() == kind).mapToLong(IndexRow::bytes).sum();
  }

  private long least() {
    String message = assertThrows(UsageException.class, () -> logits(1L, new long[1])).getMessage();
    return Long.parseLong(message.replaceAll(".*at least (\\d+) bytes.*", "$1"));
  }

  private float[] logits(Long budget, long[] ids) {
    try (MoxiePackage pack = MoxiePackage.open(folder.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      if (budget != null) {
        model.limitMemory(budget);
        forget(experts(pack));
      }
      model.begin(2 * ids.length);
      model.next(ids);
      float[] last = {};
      for (long id : ids) {
        last = model.next(new long[] {id}).clone();
        if (budget != null) {
          long resident = experts(pack).stream().mapToLong(pages()::resident).sum();
          assertTrue(resident < budget, resident + " of " + budget);
        }
      }
      return last;
    }
  }

  private static List<MemorySegment> experts(MoxiePackage pack) {
    return pack.rows().stream()
        .filter(row -> row.kind() == IndexRow.Kind.STACK)
        .map(pack::bytes)
        .toList();
  }

  /** The system takes the advice there and does nothing, as for files of other people. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void filesThatStayInMemoryAreRefused() throws IOException {
    Path memory = Path.of("/dev/shm");
    assumeTrue(Files.isWritable(memory) && Files.getFileStore(memory).type().equals("tmpfs"));
    assumeTrue(Files.readAllLines(Path.of("/proc/swaps")).size() == 1);
    Path place = Files.createTempDirectory(memory, "moxie");
    try (MoxiePackage pack = Packages.convert(Fixtures.tinyMixtral(), place.resolve("p"));
        var model = PlainModel.open(pack, new Unproven())) {
      String message =
          assertThrows(EnvironmentException.class, () -> model.limitMemory(Integer.MAX_VALUE))
              .getMessage();
      assertTrue(message.contains(" in " + place.resolve("p") + " stay in memory;"), message);
    } finally {
      Disk.deleteTree(place);
    }
  }

  @Test
  void otherSystemsAreRefusedInOneSentence() {
    assertEquals(
        "--memory-budget: expected Linux from 5.4 on, which lets pages of a file go on request,"
            + " found Mac OS X; leave it out: the system keeps what it can.",
        assertThrows(EnvironmentException.class, () -> new MappedPages("Mac OS X")).getMessage());
  }
}
