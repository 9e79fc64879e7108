export { createGateway, type Gateway, type GatewayOptions } from "./gateway.ts";
export { type GatewayStartOptions, startGateway } from "./start-gateway.ts";
