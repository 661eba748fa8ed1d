package dev.moxie.format.file;

import dev.moxie.format.error.UsageException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A file of results, which appears under its name only when it is complete. Until then it lies
 * beside it as {@code .NAME.moxie-partial}; where nothing finishes it, be it by an exception or by
 * an interrupt of the whole process, it is removed.
 */
public final class StagedFile implements AutoCloseable {
  private final Path target;
  private final DiskFile file;
  private final Consumer<Path> requireReplaceable;
  private final Thread discard = new Thread(this::deleteTemporary);
  private boolean open = true;
  private volatile boolean finished;

  private StagedFile(Path target, DiskFile file, Consumer<Path> requireReplaceable) {
    this.target = target;
    this.file = file;
    this.requireReplaceable = requireReplaceable;
    Runtime.getRuntime().addShutdownHook(discard);
  }

  /**
   * Begins the file.
   *
   * @param signature of files of its kind: one that is there already may be replaced by this one,
   *     and what a killed run left of one is written over
   * @throws UsageException if something else is there or beside it, its folder is missing, or
   *     somebody else is writing it
   */
  public static StagedFile create(Path target, Signature signature) {
    return create(target, signature, there -> requireReplaceable(there, signature));
  }

  /** As {@link #create}, but in the place of a file that the caller knows. */
  public static StagedFile replace(Path target, Signature signature) {
    return create(target, signature, there -> {});
  }

  private static StagedFile create(
      Path target, Signature signature, Consumer<Path> requireReplaceable) {
    requireFolder(target.toAbsolutePath().getParent());
    requireReplaceable.accept(target);
    try {
      DiskFile file = Beside.openAlone(Beside.path(target, "partial"), signature, target);
      try {
        file.truncate(0);
        return new StagedFile(target, file, requireReplaceable);
      } catch (IOException | RuntimeException e) {
        // A process that is being ended takes no more hooks: this is the last that sees the file.
        try (file) {
          Disk.delete(file.path());
        } catch (IOException | RuntimeException again) {
          e.addSuppressed(again);
        }
        throw e;
      }
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
   * @param signature of files that may be replaced
   * @throws UsageException if something else is there
   */
  public static void requireReplaceable(Path target, Signature signature) {
    try {
      if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && !signature.isOf(target)) {
        throw new UsageException(
            target.toString(),
            "no such file, or an earlier one of the same kind",
            "something else",
            "choose another name, or remove it");
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Makes sure that nothing but a leftover of the same kind is where a file would be written until
   * it is finished; {@link #create} does so too, but may come late.
   *
   * @throws UsageException if something else is there
   */
  public static void requireRoomBeside(Path target, Signature signature) {
    try {
      Beside.require(Beside.path(target, "partial"), signature);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What is written so far, to go on with. */
  public DiskFile file() {
    return file;
  }

  /** Appends to the file; unbuffered. */
  public OutputStream stream() {
    return Channels.newOutputStream(file);
  }

  /**
   * Gives the file its name, once all of it is on the disk.
   *
   * @throws UsageException if something has appeared there that may not be replaced
   */
  public void finish() {
    try {
      file.sync();
      requireReplaceable.accept(target);
      Disk.move(file.path(), target);
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
    try (file) {
      deleteTemporary();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      forgetHook();
    }
  }

  private void forgetHook() {
    try {
      Runtime.getRuntime().removeShutdownHook(discard);
    } catch (IllegalStateException e) {
      // The process is ending, and the hook is at work.
      return;
    }
  }

  private void deleteTemporary() {
    try {
      if (!finished) {
        Disk.delete(file.path());
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
