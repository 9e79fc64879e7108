/** What is to happen, in the order of its time; at one time, in the order in which it was planned. */
export interface EventQueue {
  /** Plans `run` for `atMs`. Returns what takes it back; a second call, or one after it ran, does nothing. */
  add(atMs: number, run: () => void): () => void;
  /** The next event, taken out. Undefined when nothing is planned. */
  take(): PlannedEvent | undefined;
  /** Time of the next event, in milliseconds. Infinity when nothing is planned. */
  nextAtMs(): number;
  /** Takes everything back. */
  clear(): void;
  /** Events that are planned. */
  size(): number;
}

export interface PlannedEvent {
  readonly atMs: number;
  readonly run: () => void;
}

interface Entry {
  readonly atMs: number;
  readonly order: number;
  /** Undefined: taken back. It stays in the heap until it comes up or the heap is swept. */
  run: (() => void) | undefined;
}

/** Below so many entries that were taken back the heap is not swept. */
const sweptFrom = 1024;

/** A binary heap. Most timers are taken back before they fall due, so that costs next to nothing. */
export function createEventQueue(): EventQueue {
  let heap: Entry[] = [];
  let order = 0;
  let dead = 0;

  const sweep = () => {
    heap = heap.filter(({ run }) => run !== undefined).sort(compare);
    dead = 0;
  };
  const dropDead = () => {
    while (heap[0] !== undefined && heap[0].run === undefined) {
      popFirst(heap);
      dead -= 1;
    }
  };

  return {
    add(atMs, run) {
      const entry: Entry = { atMs, order: order++, run };
      heap.push(entry);
      siftUp(heap, heap.length - 1);
      return () => {
        if (entry.run === undefined) return;
        entry.run = undefined;
        dead += 1;
        if (dead > sweptFrom && dead > heap.length / 2) sweep();
      };
    },
    take() {
      dropDead();
      const first = popFirst(heap);
      if (first?.run === undefined) return undefined;
      const { atMs, run } = first;
      // Whoever takes it back from now on is too late.
      first.run = undefined;
      return { atMs, run };
    },
    nextAtMs() {
      dropDead();
      return heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
    },
    clear() {
      for (const entry of heap) entry.run = undefined;
      heap = [];
      dead = 0;
    },
    size: () => heap.length - dead,
  };
}

function compare(left: Entry, right: Entry): number {
  return left.atMs - right.atMs || left.order - right.order;
}

/** As `compare`, for the heap, which asks it several times for each event. */
function isBefore(left: Entry, right: Entry): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}

function popFirst(heap: Entry[]): Entry | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === undefined || heap.length === 0) return first;
  heap[0] = last;
  siftDown(heap);
  return first;
}

function siftUp(heap: Entry[], from: number): void {
  const entry = heap[from];
  if (entry === undefined) return;
  let at = from;
  while (at > 0) {
    const above = (at - 1) >> 1;
    const parent = heap[above];
    if (parent === undefined || isBefore(parent, entry)) break;
    heap[at] = parent;
    at = above;
  }
  heap[at] = entry;
}

function siftDown(heap: Entry[]): void {
  const entry = heap[0];
  if (entry === undefined) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    const right = heap[below + 1];
    let child = heap[below];
    if (child === undefined) break;
    if (right !== undefined && isBefore(right, child)) {
      below += 1;
      child = right;
    }
    if (isBefore(entry, child)) break;
    heap[at] = child;
    at = below;
  }
  heap[at] = entry;
}
