import type { Consensus, WatchEvent } from "@tidemark/consensus";
import type { Revision } from "@tidemark/ids";

/**
 * A handle on a store that breaks C2 on purpose: its watches tell of a batch when it is appended, and not when it is
 * committed.
 */
export function publishEarly(consensus: Consensus): Consensus {
  const watchers = new Set<(event: WatchEvent) => void>();
  let newest = 0n;
  const note = ({ revision }: WatchEvent) => {
    if (revision > newest) newest = revision;
  };

  async function* watch(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const told: WatchEvent[] = [];
    let wake = () => {};
    const inner = { isOver: false };
    const tell = (event: WatchEvent) => {
      told.push(event);
      wake();
    };
    const follow = async () => {
      for await (const event of consensus.watch(signal)) tell(event);
    };
    const following = follow().finally(() => {
      inner.isOver = true;
      wake();
    });
    following.catch(() => undefined);
    watchers.add(tell);
    let last = -1n;
    while (!inner.isOver || told.length > 0) {
      const event = told.shift();
      if (event === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (event.revision > last) {
        note(event);
        last = event.revision;
        yield event;
      }
    }
    watchers.delete(tell);
    await following;
  }

  return {
    ...consensus,
    watch,
    append(epoch, changes) {
      const event: WatchEvent = { kind: "batch", revision: (newest + 1n) as Revision, changes };
      note(event);
      for (const tell of watchers) tell(event);
      return consensus.append(epoch, changes);
    },
  };
}
