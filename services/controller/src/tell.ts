/** Each event of a controller becomes spans, log lines and metrics, in this order. */
import type { Telemetry } from "@tidemark/telemetry";
import type { ControllerEvent } from "./events/controller-events.ts";
import { createReporter, type ReportedState } from "./report.ts";
import type { ControllerElectionTracer } from "./tracing/controller-election-tracer.ts";
import type { ElectionTracer } from "./tracing/election-tracer.ts";

/** Returns what to call with each event. */
export function createTeller(of: {
  readonly telemetry: Pick<Telemetry, "logger" | "metrics">;
  readonly state: ReportedState;
  readonly elections: Pick<ElectionTracer, "onEvent" | "committing">;
  readonly controllerElection: ControllerElectionTracer;
}): (event: ControllerEvent) => void {
  const { elections, controllerElection } = of;
  const report = createReporter(of.telemetry, of.state, {
    election: (partition) => elections.committing(partition),
    controllerElection: () => controllerElection.current(),
  });
  return (event) => {
    // The line that says that this controller is active belongs to what that event begins; every other one to what its
    // event ends.
    const begins = event.kind === "activated";
    if (begins) controllerElection.onEvent(event);
    report(event);
    if (!begins) controllerElection.onEvent(event);
    elections.onEvent(event);
  };
}
