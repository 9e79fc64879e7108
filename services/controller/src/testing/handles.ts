/** Handles on a store that are slow, stubborn or full, for controllers to cope with. */
import type { Consensus, Leadership, WatchEvent } from "@tidemark/consensus";
import type { Scheduler } from "@tidemark/runtime";

/** The watch is late by some turns of the event loop for each event: the image lags behind the store. */
export function withLateWatch(consensus: Consensus, scheduler: Scheduler, turns = 20): Consensus {
  const later = () => new Promise<void>((resolve) => scheduler.afterInput(resolve));
  async function* watch(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    for await (const event of consensus.watch(signal)) {
      for (let turn = 0; turn < turns; turn++) await later();
      yield event;
    }
  }
  return { ...consensus, watch };
}

/** The watch tells nothing before the gate opens, while beliefs come as ever. */
export function withHeldWatch(
  consensus: Consensus,
  gate: Promise<void>,
  onBelief: (belief: Leadership) => void,
): Consensus {
  async function* watch(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    await gate;
    yield* consensus.watch(signal);
  }
  async function* leadership() {
    for await (const belief of consensus.leadership()) {
      onBelief(belief);
      yield belief;
    }
  }
  return { ...consensus, watch, leadership };
}

/** Only the first belief in its own leadership is told: the controller never hears that it ended. */
export function withStubbornBelief(consensus: Consensus): Consensus {
  async function* leadership() {
    let isLeading = false;
    for await (const belief of consensus.leadership()) {
      if (!isLeading) yield belief;
      isLeading ||= belief.kind === "leading";
    }
  }
  return { ...consensus, leadership };
}
