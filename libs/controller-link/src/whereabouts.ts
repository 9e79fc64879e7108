/**
 * Which controller is asked, of those that are known of.
 *
 * | what comes                                       | then                                                             |
 * |--------------------------------------------------|------------------------------------------------------------------|
 * | a controller tells of a newer controller epoch   | that one is asked, and whoever waits for another one is told     |
 * | a hint, not of an older epoch than was told      | the hinted one is asked; a newer epoch counts as told            |
 * | the one that is asked is not there               | the next endpoint is asked                                       |
 * | another one than was told is asked for a while   | the one that was told is asked again: the other may be frozen    |
 */
import type { Cancel, Scheduler } from "@tidemark/runtime";

export interface Whereabouts {
  /** host:port of the one that is asked now. */
  readonly endpoint: string;
  /** Whether a controller has told that it is the active one. */
  readonly isTold: boolean;
  /**
   * Whether the one that is asked now was named as the active one of a newer controller epoch a moment ago: its claim is
   * known before it is ready to serve.
   */
  readonly isBeginning: boolean;
  /** Aborted when a controller tells that it is the active one in a newer controller epoch. */
  readonly news: AbortSignal;
  /** Aborted when the one that is asked now is left for one that was told. */
  readonly superseded: AbortSignal;
  /** Aborted `graceMs` after that. */
  readonly givenUp: AbortSignal;
  /** A controller tells of the active one. */
  readonly told: (active: { readonly controllerEpoch: number; readonly endpoint: string }) => void;
  /** A refusal names another one. Returns whether that one is asked now. */
  hinted(hint: { readonly controllerEpoch: number; readonly endpoint: string }): boolean;
  turnToNext(): void;
}

/** How long an answer of a controller that was replaced is still waited for, in milliseconds. */
export const graceMs = 500;
/** For how long the active controller of a newer epoch may refuse because it only begins, in milliseconds. */
export const beginningMs = 1000;
/** How long another controller than the one that was told is asked at a stretch, in milliseconds. */
export const detourMs = 2000;

export function createWhereabouts(endpoints: readonly string[], scheduler: Scheduler): Whereabouts {
  let place = 0;
  let endpoint = endpoints[0] ?? "";
  let newest: { readonly controllerEpoch: number; readonly endpoint: string } | undefined;
  let superseded = new AbortController();
  let givenUp = new AbortController();
  let news = new AbortController();
  let beginning: string | undefined;
  let endDetour: Cancel = () => undefined;
  let endBeginning: Cancel = () => undefined;

  const begins = (next: string) => {
    endBeginning();
    beginning = next;
    endBeginning = scheduler.after(beginningMs, () => {
      beginning = undefined;
    });
  };

  const ask = (next: string) => {
    endpoint = next;
    endDetour();
    if (newest === undefined || newest.endpoint === next) return;
    const back = newest.endpoint;
    endDetour = scheduler.after(detourMs, () => leaveFor(back));
  };
  const leaveFor = (next: string) => {
    if (next === endpoint) return;
    ask(next);
    const left = givenUp;
    superseded.abort();
    superseded = new AbortController();
    givenUp = new AbortController();
    scheduler.after(graceMs, () => left.abort());
  };
  const told: Whereabouts["told"] = (active) => {
    if (active.endpoint === "" || active.controllerEpoch <= (newest?.controllerEpoch ?? 0)) return;
    newest = active;
    begins(active.endpoint);
    news.abort();
    news = new AbortController();
    if (endpoint === active.endpoint) endDetour();
    else leaveFor(active.endpoint);
  };

  return {
    get endpoint() {
      return endpoint;
    },
    get isTold() {
      return newest?.endpoint === endpoint;
    },
    get isBeginning() {
      return beginning === endpoint;
    },
    get news() {
      return news.signal;
    },
    get superseded() {
      return superseded.signal;
    },
    get givenUp() {
      return givenUp.signal;
    },
    told,
    hinted(hint) {
      if (hint.endpoint === "" || hint.endpoint === endpoint) return false;
      if (newest !== undefined && hint.controllerEpoch < newest.controllerEpoch) return false;
      if (newest !== undefined && hint.controllerEpoch > newest.controllerEpoch) {
        newest = hint;
        begins(hint.endpoint);
      }
      ask(hint.endpoint);
      return true;
    },
    turnToNext() {
      for (let turns = 0; turns < endpoints.length; turns++) {
        place = (place + 1) % endpoints.length;
        if (endpoints[place] !== endpoint) break;
      }
      ask(endpoints[place] ?? endpoint);
    },
  };
}
