import type { ControllerEvent } from "@tidemark/controller";
import type { Violations } from "./violations.ts";

/**
 * Looks on while a controller decides: of the sessions that it has found over by then none is a candidate when they are
 * ended (D9). Returns what is to be told of its events.
 */
export function watchController({ report }: Violations): (event: ControllerEvent) => void {
  const over = new Set<number>();
  const checkElections = ({ events, epoch }: Extract<ControllerEvent, { kind: "committing" }>) => {
    for (const event of events) {
      if (event.kind !== "elected" || event.newLeader === undefined || !over.has(event.newLeader)) continue;
      const text = `${event.topic}-${event.partition} leader epoch ${event.leaderEpoch}: broker ${event.newLeader}`;
      report("a broker was elected that was found gone", `${text}, by the controller of epoch ${epoch}`);
    }
  };
  const noteRegistrations = ({ events }: Extract<ControllerEvent, { kind: "committing" | "decided" }>) => {
    for (const each of events) if (each.kind === "brokerRegistered") over.delete(each.brokerId);
  };
  return (event) => {
    switch (event.kind) {
      case "activated":
      case "deactivated":
        over.clear();
        break;
      case "sessionOver":
        over.add(event.brokerId);
        break;
      case "sessionBack":
        over.delete(event.brokerId);
        break;
      case "committing":
        if (event.command === "end sessions") checkElections(event);
        noteRegistrations(event);
        break;
      case "decided":
        // While a registration was being committed the session before it may have been found over.
        noteRegistrations(event);
        break;
      default:
        break;
    }
  };
}
