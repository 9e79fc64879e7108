export { type AdvertisedEndpoint, type Broker, type BrokerOptions, createBroker } from "./broker.ts";
export { allBrokerGuards, type BrokerExperiment, type BrokerGuards } from "./experiment.ts";
export { type BrokerStartOptions, startBroker } from "./start-broker.ts";
