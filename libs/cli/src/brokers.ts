import { type BrokerDescription, BrokerState } from "@tidemark/client";
import type { Io } from "./io.ts";
import { printTable } from "./output.ts";
import { wordOf } from "./words.ts";

/** A broker for programs. */
export function brokerJson(broker: BrokerDescription) {
  return {
    id: broker.brokerId,
    alive: broker.alive,
    state: stateOf(broker),
    brokerEpoch: broker.brokerEpoch,
    endpoint: clientEndpoint(broker),
    rack: broker.rack,
    leaders: broker.leaders,
    replicas: broker.replicas,
    offlineReplicas: broker.offlineReplicas,
  };
}

/** Brokers for people, one a row. */
export function printBrokers(io: Io, brokers: readonly BrokerDescription[]): void {
  printTable(
    io,
    ["Broker", "State", "Endpoint", "Rack", "Leaders", "Replicas", "Offline"],
    brokers.map((broker) => [
      broker.brokerId,
      stateOf(broker),
      clientEndpoint(broker),
      broker.rack,
      broker.leaders,
      broker.replicas,
      broker.offlineReplicas,
    ]),
  );
}

/** host:port where clients reach it; empty where it is not known. */
export function clientEndpoint({ endpoints }: Pick<BrokerDescription, "endpoints">): string {
  const client = endpoints.find(({ listener }) => listener === "client");
  return client === undefined ? "" : `${client.host}:${client.port}`;
}

/** What its session allows; `gone` without one. */
function stateOf({ alive, state }: BrokerDescription): string {
  if (!alive) return "gone";
  return wordOf(BrokerState, state === BrokerState.UNSPECIFIED ? BrokerState.RUNNING : state);
}
