package dev.moxie.format.signature;

import dev.moxie.format.error.CorruptException;
import dev.moxie.format.error.MismatchException;
import dev.moxie.format.pack.Digests;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What a signature says of files: their names in the folder and SHA-256 (FIPS 180-4).
 *
 * @param digests by name, with / between folders, in the order in which they are signed
 * @param ignored files and folders that it says nothing of
 */
record SignedFiles(Map<String, String> digests, List<String> ignored) {
  /** The name of a file that is signed without a folder. */
  private static final String ALONE = ".";

  /** What repositories of git have beside a model, which is nobody's weights. */
  static final List<String> OF_GIT = List.of(".git", ".gitattributes", ".github", ".gitignore");

  /** Names by their folders, each in the order of its code points. */
  private static final Comparator<String> BY_FOLDERS =
      Comparator.comparing(
          (String name) -> name.split("/"),
          (a, b) -> Arrays.compare(a, b, SignedFiles::byCodePoints));

  private static int byCodePoints(String a, String b) {
    return Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
  }

  /**
   * Those of a folder, or a file alone.
   *
   * @throws CorruptException where there is something else than files and folders
   */
  static SignedFiles of(Path root, List<String> ignored) {
    Map<String, String> digests = new LinkedHashMap<>();
    names(root, ignored).forEach(name -> digests.put(name, digest(file(root, name))));
    return new SignedFiles(digests, ignored);
  }

  /** The SHA-256 of all digests, one after the other, in their order. */
  String root() {
    return Digests.sha256(HexFormat.of().parseHex(String.join("", digests.values())));
  }

  /**
   * Holds a folder to it.
   *
   * @param named how messages call the folder
   * @throws MismatchException on the first file that is not what was signed, or was not
   */
  void requireOf(Path named, Path root) {
    Set<String> there = new TreeSet<>(names(root, ignored));
    digests.forEach(
        (name, digest) -> {
          if (!there.remove(name)) {
            throw differs(named, name, "the file that was signed", "none");
          }
          if (!digest(file(root, name)).equals(digest)) {
            throw differs(named, name, "the bytes that were signed", "others");
          }
        });
    for (String name : there) {
      throw differs(named, name, "no file that was not signed", "one");
    }
  }

  /** A signed name may be no path at all. */
  private static MismatchException differs(Path named, String name, String expected, String found) {
    return new MismatchException(
        name.equals(ALONE) ? named.toString() : named + "/" + name,
        expected,
        found,
        "fetch it again from whoever signed it");
  }

  private static Path file(Path root, String name) {
    return name.equals(ALONE) ? root : root.resolve(name);
  }

  private static List<String> names(Path root, List<String> ignored) {
    if (Files.isRegularFile(root)) {
      return List.of(ALONE);
    }
    Set<String> left = new HashSet<>(ignored);
    List<String> names = new ArrayList<>();
    try {
      Files.walkFileTree(
          root,
          new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
              return left.contains(name(root, folder))
                  ? FileVisitResult.SKIP_SUBTREE
                  : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
              String name = name(root, file);
              if (!left.contains(name)) {
                requireFile(file, attributes);
                names.add(name);
              }
              return FileVisitResult.CONTINUE;
            }
          });
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    names.sort(BY_FOLDERS);
    return names;
  }

  private static String name(Path root, Path file) {
    return root.relativize(file).toString().replace('\\', '/');
  }

  private static void requireFile(Path file, BasicFileAttributes attributes) {
    if (!attributes.isRegularFile()) {
      throw new CorruptException(
          file.toString(),
          "a file or a folder, which a signature is of",
          attributes.isSymbolicLink() ? "a link" : "a pipe or device",
          "put the file itself there");
    }
  }

  private static String digest(Path file) {
    try (InputStream in = Files.newInputStream(file, LinkOption.NOFOLLOW_LINKS)) {
      var digests = new Digests();
      byte[] chunk = new byte[1 << 16];
      for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
        digests.update(ByteBuffer.wrap(chunk, 0, count));
      }
      return digests.finish().sha256();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
