package dev.moxie.runtime.serve;

import dev.moxie.format.error.MoxieException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Collects what it is told. */
class Heard implements Job.Listener {
  final List<Long> tokens = new ArrayList<>();
  final List<Job.Chosen> chosen = new ArrayList<>();
  final CompletableFuture<Job.End> end = new CompletableFuture<>();
  final CountDownLatch first = new CountDownLatch(1);
  int reused = -1;

  @Override
  public void begun(int tokens) {
    reused = tokens;
  }

  @Override
  public void token(Job.Chosen one) {
    tokens.add(one.token().id());
    chosen.add(one);
    first.countDown();
  }

  @Override
  public void ended(Job.End how) {
    end.complete(how);
  }

  @Override
  public void failed(MoxieException failure) {
    end.completeExceptionally(failure);
  }

  Job.End end() throws Exception {
    return end.get(60, TimeUnit.SECONDS);
  }
}
