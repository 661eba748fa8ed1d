package dev.moxie.runtime.plain;

import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Threads that share the turns of a loop. Between loops they look for the next one for a while
 * before they sleep, since a token has dozens of loops and waking a thread takes longer than most.
 * One caller at a time has them; another one does its turns itself.
 */
final class Team {
  /** Multiplications below which sharing takes longer than they do. */
  private static final long WORTH_SHARING = 1 << 15;

  /** Looks for work before a thread sleeps, some tenth of a millisecond. */
  private static final int LOOKS = 20_000;

  /** Looks before a thread that waits lets others have its processor. */
  private static final int PATIENCE = 2_000;

  private static final int BITS = 20;
  private static final int MASK = (1 << BITS) - 1;

  private static final Team SHARED = new Team(Runtime.getRuntime().availableProcessors());

  private static final ThreadLocal<Scratch> OWN = ThreadLocal.withInitial(Scratch::new);

  /** A loop whose turns know nothing of each other. */
  interface Task {
    /** Does one turn, and computes the same whoever does it. */
    void turn(int turn, Scratch scratch);
  }

  private final ReentrantLock caller = new ReentrantLock();
  private final Helper[] helpers;

  /** Number of the loop, how many turns it has, how many are taken. */
  private final AtomicLong state = new AtomicLong();

  private final AtomicInteger done = new AtomicInteger();
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private @Nullable Task task;

  /** A team of so many threads, of which the caller is one. */
  Team(int threads) {
    helpers = new Helper[threads - 1];
    for (int i = 0; i < helpers.length; i++) {
      helpers[i] = new Helper();
      helpers[i].setDaemon(true);
      helpers[i].setName("moxie-compute-" + (i + 1));
      helpers[i].start();
    }
  }

  /** One thread for each processor. */
  static Team shared() {
    return SHARED;
  }

  /** Threads, with the caller. */
  int size() {
    return helpers.length + 1;
  }

  /**
   * Does every turn once.
   *
   * @param each multiplications of a turn, about
   */
  void each(int turns, long each, Task work) {
    if (turns < 2
        || turns * each < WORTH_SHARING
        || turns > MASK
        || helpers.length == 0
        || caller.isHeldByCurrentThread()
        || !caller.tryLock()) {
      Scratch scratch = OWN.get();
      for (int i = 0; i < turns; i++) {
        work.turn(i, scratch);
      }
      return;
    }
    try {
      share(turns, work);
    } finally {
      caller.unlock();
    }
  }

  private void share(int turns, Task work) {
    task = work;
    done.setPlain(0);
    failure.setPlain(null);
    long number = (state.getPlain() >>> (2 * BITS)) + 1;
    state.set(number << (2 * BITS) | (long) turns << BITS);
    for (Helper helper : helpers) {
      helper.wake();
    }
    takeTurns(OWN.get());
    for (int looks = 0; done.get() < turns; looks++) {
      pause(looks);
    }
    task = null;
    Throwable thrown = failure.get();
    if (thrown instanceof RuntimeException e) {
      throw e;
    } else if (thrown instanceof Error e) {
      throw e;
    }
  }

  @SuppressWarnings("ThreadPriorityCheck") // Whoever has the last turns may need this processor.
  private static void pause(int looks) {
    if (looks < PATIENCE) {
      Thread.onSpinWait();
    } else {
      Thread.yield();
    }
  }

  private static boolean hasTurns(long state) {
    return (state & MASK) < (state >>> BITS & MASK);
  }

  private void takeTurns(Scratch scratch) {
    while (true) {
      long now = state.get();
      if (!hasTurns(now)) {
        return;
      }
      if (state.compareAndSet(now, now + 1)) {
        // The loop does not end before this turn has, so this is its task.
        take(Objects.requireNonNull(task), (int) (now & MASK), scratch);
      }
    }
  }

  private void take(Task work, int turn, Scratch scratch) {
    try {
      work.turn(turn, scratch);
    } catch (RuntimeException | Error e) {
      failure.compareAndSet(null, e);
    } finally {
      done.incrementAndGet();
    }
  }

  private final class Helper extends Thread {
    private final Scratch scratch = new Scratch();
    private volatile boolean asleep;

    @Override
    public void run() {
      int looks = 0;
      while (true) {
        if (hasTurns(state.get())) {
          takeTurns(scratch);
          looks = 0;
        } else if (looks++ < LOOKS) {
          Thread.onSpinWait();
        } else {
          sleep();
          looks = 0;
        }
      }
    }

    private void sleep() {
      asleep = true;
      while (!hasTurns(state.get())) {
        LockSupport.park(Team.this);
      }
      asleep = false;
    }

    void wake() {
      if (asleep) {
        LockSupport.unpark(this);
      }
    }
  }
}
