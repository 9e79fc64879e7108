/**
 * Asks a transport for one message after the other. A transport may deliver within the request; the loop then asks
 * again from the outside, so a thousand messages that wait do not nest a thousand calls.
 */
export interface ReadLoop {
  /** Begins, unless the loop was paused before. */
  start(): void;
  readonly pause: () => void;
  readonly resume: () => void;
  /** A message came: handles it, and asks for the next one unless that paused the loop. */
  received(handle: () => void): void;
}

/** `request` asks the transport for one message. */
export function createReadLoop(request: () => void): ReadLoop {
  let started = false;
  let paused = false;
  let outstanding = false;
  let requesting = false;

  const run = () => {
    if (requesting) return;
    requesting = true;
    while (started && !paused && !outstanding) {
      outstanding = true;
      request();
    }
    requesting = false;
  };

  return {
    start() {
      started = true;
      run();
    },
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      run();
    },
    received(handle) {
      outstanding = false;
      handle();
      run();
    },
  };
}
