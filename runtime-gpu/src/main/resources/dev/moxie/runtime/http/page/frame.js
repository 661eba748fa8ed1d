// Tokens may come faster than anybody sees them.

/** Does something before the next frame, however often it is asked for until then. */
export function onceAFrame(work) {
  let waiting = false;
  return () => {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        work();
      });
    }
  };
}
