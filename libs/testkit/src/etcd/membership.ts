import type { EtcdMember } from "./etcd-member.ts";

/** Takes the member out of the cluster and announces a new one with its peer URL, by etcd's JSON gateway. */
export async function replaceMember(endpoint: string, member: EtcdMember): Promise<void> {
  const { members } = await post<{
    readonly members: readonly { readonly ID: string; readonly peerURLs: readonly string[] }[];
  }>(endpoint, "member/list", {});
  const lost = members.find(({ peerURLs }) => peerURLs.includes(member.peerUrl));
  if (lost !== undefined) await post(endpoint, "member/remove", { ID: lost.ID });
  await post(endpoint, "member/add", { peerURLs: [member.peerUrl] });
}

async function post<Answer>(endpoint: string, call: string, body: unknown): Promise<Answer> {
  const answer = await fetch(`http://${endpoint}/v3/cluster/${call}`, {
    method: "POST",
    body: JSON.stringify(body),
    // Without a leader the call would wait for one.
    signal: AbortSignal.timeout(5_000),
  });
  if (!answer.ok) throw new Error(`${call}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Answer;
}
