package dev.moxie.format.file;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * A folder that appears under its name only when it is complete: everything goes to a sibling
 * folder, is synced, and takes the target's name in one rename. What it replaces is set aside just
 * before and deleted after. {@link #close} without {@link #commit} keeps the files that are
 * finished, and a journal of them beside the target; a later writer of the same job goes on from
 * there.
 *
 * <p>The journal is there before the sibling folder and goes after it, and lists the files that the
 * folder may hold. So whatever lies there without a journal, or is not on its list, is somebody
 * else's, and refused.
 *
 * <p>Files may be written from several threads.
 */
public final class StagedFolder implements AutoCloseable {
  private static final Signature LOCK = Signature.of("moxie lock\n");

  private final Path target;
  private final Job job;
  private final Guard guard;
  private final boolean replace;
  private final DiskFile lock;
  private final Journal journal;
  private final boolean complete;
  private boolean worthless;

  /**
   * What is to be written.
   *
   * @param facts everything that the result depends on, by name
   * @param files that the folder will hold, by their paths in it
   */
  public record Job(Map<String, String> facts, Set<String> files) {
    public Job {
      facts = java.util.Collections.unmodifiableMap(new TreeMap<>(facts));
      files = java.util.Collections.unmodifiableSet(new TreeSet<>(files));
    }
  }

  /** Knows what may be at the target. */
  @FunctionalInterface
  public interface Guard {
    /**
     * Throws unless nothing is at the target, or what may be replaced by a new folder.
     *
     * @param replace whether a finished result may be replaced
     */
    void require(Path target, boolean replace);
  }

  private StagedFolder(
      Path target,
      Job job,
      Guard guard,
      boolean replace,
      DiskFile lock,
      Journal journal,
      boolean complete) {
    this.target = target;
    this.job = job;
    this.guard = guard;
    this.replace = replace;
    this.lock = lock;
    this.journal = journal;
    this.complete = complete;
    this.worthless = complete;
  }

  /**
   * Starts a folder, or goes on with one that was interrupted. Only one writer at a time may have a
   * target.
   *
   * @param force whether a finished result may be replaced, once the new one is complete, and
   *     whether to start over where something was interrupted
   * @param guard asked before anything is written, under the lock, and before the rename
   * @throws UsageException if another writer has the target, it is a link that leads nowhere or
   *     where another file system begins, another job was interrupted there, or what lies beside it
   *     is not ours
   * @throws CorruptException if what an interrupted writer recorded cannot be read
   */
  public static StagedFolder open(Path target, Job job, boolean force, Guard guard) {
    Path place = place(target);
    try {
      if (!Beside.isFile(journal(place))) {
        guard.require(place, force);
      }
      Disk.createFolders(parent(place));
      requireRenamable(place);
      DiskFile lock = lock(place);
      try {
        return open(place, job, force, guard, lock);
      } catch (IOException | RuntimeException e) {
        release(lock);
        throw e;
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static StagedFolder open(Path target, Job job, boolean force, Guard guard, DiskFile lock)
      throws IOException {
    Journal.Content before = Journal.read(journal(target));
    boolean begun = Beside.isFolder(staging(target));
    requireOurs(target, before);
    settle(target, begun);
    Journal.Header header = before.header();
    if (!force && begun) {
      Journal.requireSame(journal(target), target, before, job);
    }
    boolean renamed = before.replaced() != null && !begun && Files.exists(target);
    if (!force && renamed && header != null && header.job().equals(job)) {
      Journal journal = Journal.resume(journal(target), target, before, header);
      return new StagedFolder(target, job, guard, false, lock, journal, true);
    }
    boolean resume = !force && begun && !before.finished().isEmpty();
    boolean replace = force || (resume && header != null && header.replace());
    guard.require(target, replace);
    Set<String> kept = new HashSet<>(resume ? before.finished().keySet() : Set.of());
    kept.retainAll(job.files());
    retain(staging(target), kept);
    var next = new Journal.Header(job, replace);
    Journal journal =
        resume
            ? Journal.resume(journal(target), target, before, next)
            : Journal.start(journal(target), target, next);
    try {
      if (!begun) {
        Disk.createFolder(staging(target));
      }
      return new StagedFolder(target, job, guard, replace, lock, journal, false);
    } catch (IOException | RuntimeException e) {
      journal.close();
      throw e;
    }
  }

  /**
   * Names of the files that an interrupted writer of this target has finished.
   *
   * @throws UsageException if what lies there is not ours
   */
  public static Set<String> finished(Path target) {
    try {
      Path place = place(target);
      Journal.Content content = Journal.read(journal(place));
      return Beside.isFolder(staging(place)) ? content.finished().keySet() : Set.of();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Where the target really lies: replacing a link to a package replaces the package. */
  private static Path place(Path target) {
    Path place = StagedFile.place(target);
    if (Files.isSymbolicLink(place)) {
      throw new UsageException(
          target.toString(), "a folder to make", "a link that leads nowhere", "remove the link");
    }
    return place;
  }

  private static Path staging(Path target) {
    return Beside.path(target, "partial");
  }

  private static Path journal(Path target) {
    return Beside.path(target, "journal");
  }

  private static Path old(Path target) {
    return Beside.path(target, "old");
  }

  private static Path parent(Path target) {
    return target.resolveSibling(".").normalize();
  }

  /** A mount point cannot take another folder's place, which would show only at the very end. */
  private static void requireRenamable(Path target) throws IOException {
    if (Files.exists(target)
        && !Files.getFileStore(target).equals(Files.getFileStore(parent(target)))) {
      throw new UsageException(
          target.toString(),
          "a folder on the file system of the one it lies in",
          "the place where another is mounted",
          "choose a new folder inside it");
    }
  }

  private static DiskFile lock(Path target) throws IOException {
    DiskFile lock = Beside.openAlone(Beside.path(target, "lock"), LOCK, target);
    try {
      if (lock.size() == 0) {
        lock.write(ByteBuffer.wrap(LOCK.bytes()));
      }
      return lock;
    } catch (IOException | RuntimeException e) {
      lock.close();
      throw e;
    }
  }

  /** The file is removed while the lock is still held: whoever opens it later makes its own. */
  private static void release(DiskFile lock) throws IOException {
    try (lock) {
      Disk.delete(lock.path());
    }
  }

  /** Only a journal tells that a folder is ours, and which files in it. */
  private static void requireOurs(Path target, Journal.Content journal) throws IOException {
    Journal.Header header = journal.header();
    Set<String> files = header == null ? Set.of() : header.job().files();
    Path staging = staging(target);
    if (Beside.isFolder(staging)) {
      if (!Beside.isFile(journal(target))) {
        throw Beside.foreign(staging, "a folder without a journal of what is in it");
      }
      try (var walk = Files.walk(staging)) {
        for (Path path : walk.toList()) {
          if (!isListed(staging.relativize(path).toString(), path, files)) {
            throw Beside.foreign(path, "something that no interrupted run wrote there");
          }
        }
      }
    }
    // What a target was replaced by was complete by then, and knew what it would replace.
    Path old = old(target);
    if (Beside.isFolder(old)) {
      List<String> replaced = journal.replaced();
      if (replaced == null || !replaced.containsAll(names(old))) {
        throw Beside.foreign(old, "a folder that no interrupted run set aside");
      }
    }
  }

  /** Everything below a folder, by its path from there; nothing if there is no folder. */
  private static List<String> names(Path folder) throws IOException {
    if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
      return List.of();
    }
    try (var walk = Files.walk(folder)) {
      return walk.skip(1).map(path -> folder.relativize(path).toString()).sorted().toList();
    }
  }

  private static boolean isListed(String name, Path path, Set<String> files) {
    return Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)
        ? name.isEmpty() || isFolderOf(name, files)
        : Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS) && files.contains(name);
  }

  private static boolean isFolderOf(String name, Set<String> files) {
    return files.stream().anyMatch(file -> file.startsWith(name + "/"));
  }

  /** What a killed writer had set aside is put back, or goes if its replacement is there. */
  private static void settle(Path target, boolean begun) throws IOException {
    Path old = old(target);
    if (!Files.exists(old)) {
      return;
    }
    if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      Disk.move(old, target);
    } else if (begun) {
      throw new UsageException(
          target.toString(),
          "nothing, since an interrupted run had set " + old + " aside",
          "something new",
          "move one of them away");
    } else {
      Disk.deleteTree(old);
    }
  }

  /** Removes all files from an unfinished folder but those of these names, and all folders. */
  private static void retain(Path staging, Set<String> names) throws IOException {
    if (!Files.exists(staging)) {
      return;
    }
    try (var entries = Files.list(staging)) {
      for (Path entry : entries.toList()) {
        if (!names.contains(entry.getFileName().toString())) {
          Disk.deleteTree(entry);
        }
      }
    }
  }

  /**
   * Whether an interrupted writer of this job had already given the folder its name, and lacked
   * only the tidying up. Nothing is left to write then.
   */
  public boolean isComplete() {
    return complete;
  }

  /** Where a file is to be written. */
  public Path path(String name) {
    if (!job.files().contains(name)) {
      throw new IllegalArgumentException(name + " is none of the job's files");
    }
    return staging(target).resolve(name);
  }

  /** Writes a small file. */
  public void write(String name, byte[] bytes) throws IOException {
    Path path = path(name);
    Disk.createFolders(path.resolveSibling(".").normalize());
    try (DiskFile file = Disk.create(path)) {
      file.write(ByteBuffer.wrap(bytes));
      file.sync();
    }
  }

  /** Digests that a file had when an earlier writer finished it; they are yet to be checked. */
  public Optional<List<String>> finishedBefore(String name) {
    return Optional.ofNullable(journal.finished(name));
  }

  /** Records that a file is on the disk, with the digests of its parts. */
  public void finished(String name, List<String> digests) throws IOException {
    journal.append(name, digests);
  }

  /** Whether the path is a folder without entries. */
  public static boolean isEmptyFolder(Path path) {
    if (!Files.isDirectory(path)) {
      return false;
    }
    try (var entries = Files.list(path)) {
      return entries.findAny().isEmpty();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Syncs the folders and gives the whole its name; the files in them must be synced already. */
  public void commit() {
    try {
      Set<Path> folders = new HashSet<>();
      for (String name : job.files()) {
        folders.add(path(name).getParent());
      }
      for (Path folder : folders) {
        Disk.sync(folder);
      }
      journal.appendAll(names(target));
      moveIntoPlace();
      worthless = true;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The old folder is set aside and put back if the new one cannot take its name. */
  private void moveIntoPlace() throws IOException {
    Path old = old(target);
    guard.require(target, replace);
    if (Files.exists(target)) {
      if (Beside.isFolder(old)) {
        throw Beside.foreign(old, "a folder that has just appeared");
      }
      Disk.move(target, old);
    }
    try {
      Disk.move(staging(target), target);
    } catch (IOException e) {
      if (Files.exists(old)) {
        Disk.move(old, target);
      }
      throw e;
    }
    Disk.sync(parent(target));
    Disk.deleteTree(old);
  }

  /** Lets {@link #close} keep nothing: what was written is not what was asked for. */
  public void discard() {
    worthless = true;
  }

  /** Keeps what is finished of a folder that was neither committed nor discarded. */
  @Override
  public void close() {
    try (lock;
        journal) {
      boolean kept = !worthless && !journal.isEmpty();
      if (!kept) {
        Disk.deleteTree(staging(target));
      }
      Disk.delete(lock.path());
      // Last: until then it tells the next run what became of this one.
      if (!kept) {
        Disk.delete(journal(target));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
