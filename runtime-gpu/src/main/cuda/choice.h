// How a product of one token is launched, from sizes alone: README.md, "Which launch", has the measurements behind it.
#pragma once

struct Choice {
  int m, warps, split;  // row tiles a warp takes together (0: nothing fits), warps of a block, warps that share a tile
};

// `tiles16` tiles of 16 rows (of gate and up: pairs of them, `most` 1), each `steps` steps of slots wide. All variants
// stream alike, so that one counts which keeps the busiest multiprocessor's share least: whole rounds of tiles, whole steps
// of a warp, and 8 steps for what begins and ends a round. The first of equal ones. Of a block's shared memory, `room`
// bytes, a warp takes `each[m - 1]` and everything else `fixed`.
inline Choice choose(int tiles16, int steps, int most, int multiprocessors, long fixed, const long* each, long room) {
  static const int SHAPES[][2] = {{8, 8}, {8, 4}, {8, 2}, {8, 1}, {6, 6}, {6, 2}, {6, 1}, {4, 4}};
  Choice best = {};
  long least = -1;
  for (int m = 1; m <= most; m++)
    for (auto& s : SHAPES) {
      if (fixed + s[0] * each[m - 1] > room) continue;
      long tiles = (tiles16 + m - 1) / m, groups = (long)multiprocessors * (s[0] / s[1]);
      long rounds = (tiles + groups - 1) / groups, share = (steps + s[1] - 1) / s[1];
      long cost = rounds * (share * s[0] * m + 8);
      if (least < 0 || cost < least) least = cost, best = {m, s[0], s[1]};
    }
  return best;
}
