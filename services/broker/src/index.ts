export { type AdvertisedEndpoint, type Broker, type BrokerOptions, createBroker } from "./broker.ts";
export type { BrokerExperiment } from "./experiment.ts";
export { type BrokerStartOptions, startBroker } from "./start-broker.ts";
