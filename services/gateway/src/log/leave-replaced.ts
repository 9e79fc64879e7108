import type { Cancel, Scheduler } from "@tidemark/runtime";
import { replacedGraceMs, replacedLeader } from "../routing/replaced-leaders.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { ProduceUpstream } from "./produce-upstream.ts";

/** The messages of one producer's stream, as far as they are on their way. */
export interface OnTheirWay<Sent> {
  readonly table: Pick<RouteTable, "onChange">;
  readonly scheduler: Scheduler;
  /** By endpoint. */
  readonly upstreams: ReadonlyMap<string, ProduceUpstream<Sent>>;
  /** Whether another broker took the place of the one that it was sent to. */
  readonly isReplaced: (sent: Sent) => boolean;
  /** Some were left. */
  readonly onLeft: () => void;
  /** Leaders may be others: what waits for room on the way to a former one goes another way. */
  readonly onRouted: () => void;
}

/**
 * Gives up what waits for a leader that was replaced, `replacedGraceMs` after the metadata told so: with its outcome
 * unknown, as if its stream had ended. Other partitions that the same broker leads stay. Until the cancel is called.
 */
export function leaveReplaced<Sent>({ table, scheduler, upstreams, ...on }: OnTheirWay<Sent>): Cancel {
  const timers = new Set<Cancel>();
  /** What a timer runs for. */
  const noted = new Set<Sent>();

  const after = (start: (task: () => void) => Cancel, task: () => void) => {
    const cancel = start(() => {
      timers.delete(cancel);
      task();
    });
    timers.add(cancel);
  };
  const leave = (found: readonly Sent[]) => {
    for (const sent of found) noted.delete(sent);
    // It may have been refused and sent elsewhere meanwhile.
    const left = new Set(found.filter(on.isReplaced));
    for (const [endpoint, upstream] of [...upstreams]) upstream.leave(left, replacedLeader(endpoint));
    on.onLeft();
  };
  const look = () => {
    const found = [...upstreams.values()]
      .flatMap(({ unanswered }) => [...unanswered])
      .filter((sent) => !noted.has(sent) && on.isReplaced(sent));
    if (found.length === 0) return;
    for (const sent of found) noted.add(sent);
    after(
      (task) => scheduler.after(replacedGraceMs, task),
      // An answer that has come in meanwhile is taken first.
      () =>
        after(
          (task) => scheduler.afterInput(task),
          () => leave(found),
        ),
    );
  };
  const unwatch = table.onChange(() => {
    look();
    on.onRouted();
  });
  return () => {
    unwatch();
    for (const cancel of timers) cancel();
  };
}
