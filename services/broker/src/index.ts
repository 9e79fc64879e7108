export { type AdvertisedEndpoint, type Broker, type BrokerOptions, createBroker } from "./broker.ts";
