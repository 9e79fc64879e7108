/** What happens later, in the order of its time and, within one time, of its making. */
export interface EventQueue {
  /** Milliseconds since the start. */
  now(): number;
  after(delayMs: number, run: () => void): void;
  /** Runs the next event. False when there is none. */
  runNext(): boolean;
}

interface Scheduled {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A binary heap in an array. */
export function createEventQueue(): EventQueue {
  const heap: Scheduled[] = [];
  let now = 0;
  let order = 0;

  const before = (left: Scheduled, right: Scheduled) =>
    left.at < right.at || (left.at === right.at && left.order < right.order);

  const push = (event: Scheduled): void => {
    let position = heap.length;
    heap.push(event);
    while (position > 0) {
      const parent = (position - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(event, above)) break;
      heap[position] = above;
      position = parent;
    }
    heap[position] = event;
  };

  const pop = (): Scheduled | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let position = 0;
    for (;;) {
      const left = 2 * position + 1;
      let child = heap[left];
      if (child === undefined) break;
      let at = left;
      const right = heap[left + 1];
      if (right !== undefined && before(right, child)) {
        child = right;
        at = left + 1;
      }
      if (!before(child, last)) break;
      heap[position] = child;
      position = at;
    }
    heap[position] = last;
    return first;
  };

  return {
    now: () => now,
    after: (delayMs, run) => push({ at: now + delayMs, order: order++, run }),
    runNext() {
      const event = pop();
      if (event === undefined) return false;
      now = event.at;
      event.run();
      return true;
    },
  };
}
