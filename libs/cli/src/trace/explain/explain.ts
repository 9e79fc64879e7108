/**
 * Names who made traces slow, from their spans alone. What is counted:
 *
 * | found in the spans                                             | laid to                                      |
 * |----------------------------------------------------------------|----------------------------------------------|
 * | appends and flushes                                            | the disk of the process that made the span   |
 * | both ways between two processes, beside the work at the end    | the network of one of the two                |
 * | one way, where the other took less                             | the process at which it ended                |
 * | a session that ended by silence or a refused connection        | the broker's process                         |
 * | a follower that left the ISR                                   | its process                                  |
 * | commits, changes of the ISR, transactions and gaps of etcd     | the consensus backend                        |
 * | the time without an active controller                          | the controller that was lost, or etcd        |
 *
 * The one with the most milliseconds over all traces comes first. Times of two processes are compared: their clocks have
 * to be in step better than what is looked for.
 */
import { attributeNames } from "@tidemark/telemetry";
import type { TraceSpan } from "../span.ts";
import { type Blame, blameHops, type Culprit, rank } from "./blame.ts";
import { blameElections } from "./explain-elections.ts";
import { blameDisks, hopsOf } from "./explain-produce.ts";
import { attributeOf, treesOf } from "./tree.ts";

/** What is shorter is nobody's fault: two clocks, a turn of an event loop. */
const leastMs = 5;

/** The heaviest first. Empty where nothing took long. */
export function explainTraces(spans: readonly TraceSpan[]): readonly Culprit[] {
  const trees = treesOf(spans);
  const backend = spans.map((span) => attributeOf(span, attributeNames.backend)).find((name) => name !== undefined);
  const linked = new Set(spans.flatMap(({ links }) => links.map(({ spanId }) => spanId)));
  const blames: readonly Blame[] = [
    ...trees.flatMap(blameDisks),
    ...blameHops(trees.flatMap((tree) => hopsOf(tree, linked))),
    ...trees.flatMap((tree) => blameElections(tree, backend ?? "controllers")),
  ];
  return rank(blames.filter(({ ms }) => ms >= leastMs));
}
