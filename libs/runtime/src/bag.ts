/** Things in no order, of which many come and go. */
export interface Bag<Item> {
  size(): number;
  /** Puts it in. Returns what takes it out; a second call does nothing. */
  add(item: Item): () => void;
  /** What is in it now, as a copy. */
  items(): readonly Item[];
}

interface Place<Item> {
  readonly item: Item;
  /** -1 once it is out. */
  index: number;
}

/**
 * An array whose gaps are filled from its end. A Set that takes and drops its few items again and again makes a new table
 * nearly every time, and the old ones, once they are old enough, hold all that came after until the next full collection:
 * finished calls would fill the heap.
 */
export function createBag<Item>(): Bag<Item> {
  const places: Place<Item>[] = [];
  const takeOut = (place: Place<Item>) => {
    const last = places.at(-1);
    if (place.index < 0 || last === undefined) return;
    places.pop();
    if (last !== place) {
      places[place.index] = last;
      last.index = place.index;
    }
    place.index = -1;
  };
  return {
    size: () => places.length,
    add(item) {
      const place = { item, index: places.length };
      places.push(place);
      return () => takeOut(place);
    },
    items: () => places.map(({ item }) => item),
  };
}
