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
  const traces = { election: elections.committing, controllerElection: controllerElection.current };
  const report = createReporter(of.telemetry, of.state, traces);
  return (event) => {
    // The line that says that this controller is active belongs to what that event begins; the line of a decision to
    // what it ends.
    controllerElection.onEvent(event);
    report(event);
    elections.onEvent(event);
  };
}
