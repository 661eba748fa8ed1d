package dev.moxie.runtime.http;

import dev.moxie.runtime.execution.ExpertLoad;
import dev.moxie.runtime.execution.Routes;
import dev.moxie.runtime.serve.Job;
import java.util.List;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What routers decided about the token before one that is streamed, layer by layer: its experts,
 * their weights, and how close the choice was. A layer without experts has none.
 */
final class Decisions {
  private Decisions() {}

  static void add(ObjectNode choice, List<Job.Chosen> tokens, ExpertLoad load) {
    for (Job.Chosen token : tokens) {
      if (token.routes().isEmpty()) {
        choice.putNull("routed");
      } else {
        put(choice.putObject("routed"), token.routes(), load);
      }
    }
  }

  private static void put(ObjectNode json, Routes routes, ExpertLoad load) {
    ArrayNode experts = json.putArray("experts");
    ArrayNode weights = json.putArray("weights");
    ArrayNode margins = json.putArray("margins");
    int most = routes.experts().length / load.layers();
    for (int layer = 0; layer < load.layers(); layer++) {
      ArrayNode own = experts.addArray();
      ArrayNode shares = weights.addArray();
      for (int i = 0; i < load.expertsPerToken(layer); i++) {
        own.add(routes.experts()[layer * most + i]);
        shares.add(routes.weights()[layer * most + i]);
      }
      float margin = routes.margins()[layer];
      if (Float.isNaN(margin)) {
        margins.addNull();
      } else {
        margins.add(margin);
      }
    }
  }
}
