package dev.moxie.runtime.plain;

import dev.moxie.format.model.Attention;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Latent attention in the absorbed form: since q · (U c) = (Uᵀ q) · c, queries are taken to the
 * latents, which are keys and values of all heads (DeepSeek-AI, "DeepSeek-V2", 2024, section
 * 2.1.2).
 *
 * @param chosen which positions tokens see; null if all that came before
 */
record LatentAttention(
    Pass pass,
    int layer,
    Attention.MultiHeadLatent attention,
    Value q,
    Value c,
    Value r,
    @Nullable Chosen chosen,
    StoredMatrix up,
    Value y)
    implements Instruction, Team.Task {

  @Override
  public void run() {
    pass.reads(up.storedBytes());
    for (int t = 0; t < pass.tokens(); t++) {
      pass.past(t)
          .put(
              layer,
              pass.position(t),
              pass.array(c),
              t * c.apart(),
              c.columns(),
              pass.array(r),
              t * r.apart(),
              r.columns());
    }
    long rank = attention.latentSize();
    long rows = (long) attention.plainSize() + attention.valueSize();
    pass.team().each(attention.heads(), pass.tokens() * rank * (rows + 2 * pass.seen()), this);
  }

  @Override
  public void turn(int head, Scratch scratch) {
    int rank = attention.latentSize();
    int tokens = pass.tokens();
    int firstRow = head * (attention.plainSize() + attention.valueSize());
    float[] latents = scratch.of(Scratch.Room.LATENT, tokens * rank);
    Arrays.fill(latents, 0, tokens * rank, 0);
    float[] row = scratch.of(Scratch.Room.ROW, rank);
    float[] room = scratch.of(Scratch.Room.PANEL, rank);
    float[] queries = pass.array(q);
    int query = head * attention.headSize();
    for (int i = 0; i < attention.plainSize(); i++) {
      up.readInOrder(firstRow + i, row, 0, room);
      for (int t = 0; t < tokens; t++) {
        Sums.add(queries[t * q.apart() + query + i], row, 0, latents, t * rank, rank);
      }
    }
    for (int t = 0; t < tokens; t++) {
      mix(t, query + attention.plainSize(), latents, scratch);
    }
    float[] out = pass.array(y);
    for (int i = 0; i < attention.valueSize(); i++) {
      up.readInOrder(firstRow + attention.plainSize() + i, row, 0, room);
      for (int t = 0; t < tokens; t++) {
        out[t * y.apart() + head * attention.valueSize() + i] =
            Sums.dot(latents, t * rank, row, 0, rank, scratch.lanes);
      }
    }
  }

  /** Puts what a token sees of the latents in the place of its query. */
  private void mix(int t, int turned, float[] latents, Scratch scratch) {
    int rank = attention.latentSize();
    int[] some = chosen == null ? null : chosen.of(t);
    int count = some == null ? pass.position(t) + 1 : some.length;
    Past.Layer kept = pass.past(t).layer(layer);
    float[] scores = scratch.of(Scratch.Room.SCORES, count);
    if (some == null) {
      Keys.scores(latents, t * rank, rank, kept.keys(), 0, rank, 0, count, scores, scratch.lanes);
    } else {
      for (int j = 0; j < count; j++) {
        float[] keys = kept.keys()[some[j] / Past.BLOCK];
        int key = some[j] % Past.BLOCK * rank;
        scores[j] = Sums.dot(latents, t * rank, keys, key, rank, scratch.lanes);
      }
    }
    float[] queries = pass.array(q);
    int size = r.columns();
    float scale = (float) attention.softmaxScale();
    for (int j = 0; j < count; j++) {
      int position = some == null ? j : some[j];
      float[] keys = kept.values()[position / Past.BLOCK];
      int key = position % Past.BLOCK * size;
      float with = Sums.dot(queries, t * q.apart() + turned, keys, key, size, scratch.lanes);
      scores[j] = scale * (scores[j] + with);
    }
    float total = Mixing.shares(scores, count, Mixing.NO_SINK);
    if (some == null) {
      Mixing.mix(scores, count, total, kept.keys(), 0, rank, 0, rank, latents, t * rank);
    } else {
      Mixing.mix(scores, some, total, kept.keys(), rank, latents, t * rank);
    }
  }
}
