import type { EtcdMembers, EtcdStubs } from "@tidemark/consensus-etcd";

/**
 * Members that are asked without the fence: appends are carried out whatever else was committed since, also by another
 * controller. Breaks C5 on purpose. Claims keep what they compare.
 */
export function takeFenceOut(members: EtcdMembers): EtcdMembers {
  const isFence = (key: string) => key.endsWith("/append");
  return {
    endpoints: members.endpoints,
    connect(endpoint): EtcdStubs {
      const stubs = members.connect(endpoint);
      return {
        ...stubs,
        txn(request) {
          const isAppend = request.compares.every(({ key }) => isFence(key));
          return stubs.txn(isAppend ? { ...request, compares: [] } : request);
        },
      };
    },
  };
}
