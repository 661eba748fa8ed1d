package dev.moxie.format.file;

import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A file of results, which appears under its name only when it is complete. Until then it lies
 * beside it as {@code .NAME.moxie-partial}; where nothing finishes it, be it by an exception or by
 * an interrupt of the whole process, it is removed.
 */
public final class StagedFile implements AutoCloseable {
  private final Path target;
  private final Path temporary;
  private final FileChannel channel;
  private final Predicate<Path> replaceable;
  private final Thread discard = new Thread(this::deleteTemporary);
  private boolean open = true;
  private volatile boolean finished;

  private StagedFile(
      Path target, Path temporary, FileChannel channel, Predicate<Path> replaceable) {
    this.target = target;
    this.temporary = temporary;
    this.channel = channel;
    this.replaceable = replaceable;
    Runtime.getRuntime().addShutdownHook(discard);
  }

  /**
   * Begins the file.
   *
   * @param replaceable whether a file that is there already may be replaced by this one; asked now
   *     and again before it is
   * @throws UsageException if something is there that may not be, its folder is missing, or
   *     somebody else is writing it
   */
  public static StagedFile create(Path target, Predicate<Path> replaceable) {
    requireFolder(target.toAbsolutePath().getParent());
    requireReplaceable(target, replaceable);
    Path temporary = target.resolveSibling("." + target.getFileName() + ".moxie-partial");
    try {
      var channel =
          FileChannel.open(
              temporary,
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE,
              StandardOpenOption.READ,
              LinkOption.NOFOLLOW_LINKS);
      requireAlone(target, temporary, channel);
      channel.truncate(0);
      return new StagedFile(target, temporary, channel, replaceable);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Where a file lies, or would lie: its absolute path, without links as far as it exists. */
  public static Path place(Path target) {
    Path absolute = target.toAbsolutePath();
    Path existing = absolute;
    while (!Files.exists(existing) && existing.getParent() != null) {
      existing = existing.getParent();
    }
    try {
      Path rest = existing.relativize(absolute);
      Path place = existing.toRealPath().resolve(rest).normalize();
      // "none/../link" leads nowhere until it is shortened to a link.
      return place.equals(absolute) ? place : place(place);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void requireFolder(@Nullable Path folder) {
    if (folder != null && !Files.isDirectory(folder)) {
      throw new UsageException(folder.toString(), "a folder", "none", "create it");
    }
  }

  /**
   * Makes sure that a file may be made or replaced.
   *
   * @param replaceable whether a file that is there already may be replaced
   * @throws UsageException if something is there that may not be
   */
  public static void requireReplaceable(Path target, Predicate<Path> replaceable) {
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)
        && !(Files.isRegularFile(target) && replaceable.test(target))) {
      throw new UsageException(
          target.toString(),
          "no such file, or an earlier one of the same kind",
          "something else",
          "choose another name, or remove it");
    }
  }

  /**
   * Takes the lock. Whoever had it may have finished meanwhile: what the channel leads to is then
   * the finished file, and must not be written to.
   */
  static void requireAlone(Path target, Path temporary, FileChannel channel) throws IOException {
    boolean locked;
    try {
      locked = channel.tryLock() != null && Files.exists(temporary, LinkOption.NOFOLLOW_LINKS);
    } catch (OverlappingFileLockException e) {
      locked = false;
    }
    if (!locked) {
      channel.close();
      throw new UsageException(
          target.toString(), "nobody else to write it", "another run", "choose another name");
    }
  }

  /** What is written so far, to go on with. */
  public FileChannel channel() {
    return channel;
  }

  /** Appends to the file; unbuffered. */
  public OutputStream stream() {
    return Channels.newOutputStream(channel);
  }

  /**
   * Gives the file its name, once all of it is on the disk.
   *
   * @throws UsageException if something has appeared there that may not be replaced
   */
  public void finish() {
    try {
      channel.force(true);
      requireReplaceable(target, replaceable);
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      finished = true;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Removes what was not finished. */
  @Override
  public void close() {
    if (!open) {
      return;
    }
    open = false;
    deleteTemporary();
    try {
      channel.close();
      Runtime.getRuntime().removeShutdownHook(discard);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (IllegalStateException e) {
      // The process is ending, and the hook is at work.
      return;
    }
  }

  private void deleteTemporary() {
    try {
      if (!finished) {
        Files.deleteIfExists(temporary);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
