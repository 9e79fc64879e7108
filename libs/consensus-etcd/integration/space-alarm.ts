/** Raises the alarm of an etcd whose space is used up, or disarms it. */
export async function setSpaceAlarm(endpoint: string, isRaised: boolean): Promise<void> {
  const answer = await fetch(`http://${endpoint}/v3/maintenance/alarm`, {
    method: "POST",
    body: JSON.stringify({ action: isRaised ? "ACTIVATE" : "DEACTIVATE", memberID: "1", alarm: "NOSPACE" }),
  });
  if (!answer.ok) throw new Error(await answer.text());
}
