import { describeHealth, type MetadataImage } from "@tidemark/metadata";

/** Sessions that are named one by one. */
const namedMax = 50;

/** What a controller knows, for people. */
export function describeController(of: {
  readonly isActive: boolean;
  readonly image: MetadataImage;
}): Readonly<Record<string, unknown>> {
  const { sessions } = of.image;
  const named = [...sessions].slice(0, namedMax);
  return {
    active: of.isActive,
    ...describeHealth(of.image),
    sessions: sessions.size,
    sessionsFirst: named.map(([broker, { brokerEpoch }]) => ({ broker, brokerEpoch })),
  };
}
